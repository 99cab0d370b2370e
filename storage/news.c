#include "storage/news.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void news_free(struct news *n)
{
    free(n->ended);
    *n = (struct news){0};
}

void news_clear(struct news *n)
{
    n->n_ended = n->first = 0;
    n->told = n->told_now = false;
}

int news_ended(struct news *n, int64_t trial, struct err *err)
{
    if (!n->told)
        return 0; /* it will be among all of them */
    if (!array_reserve(&n->ended, &n->cap_ended, n->n_ended + 1, sizeof(*n->ended)))
        return err_set(err, ERR_NOMEM, "index of %zu trials", n->n_ended);
    n->ended[n->n_ended++] = trial;
    return 0;
}

void news_told(struct news *n)
{
    n->told_now = n->told_now || !n->told;
    n->told = true;
    n->first = n->n_ended;
}

void news_commit(struct news *n)
{
    n->told_now = false;
    n->n_ended -= n->first;
    if (n->first > 0)
        memmove(n->ended, n->ended + n->first, n->n_ended * sizeof(*n->ended));
    n->first = 0;
}

void news_roll_back(struct news *n)
{
    n->told = n->told && !n->told_now;
    n->told_now = false;
    n->first = 0;
}
