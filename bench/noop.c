/* The cheapest trial there is: static, one line on stdout. */
#include <unistd.h>

int main(void)
{
    return write(STDOUT_FILENO, "loss=1\n", 7) != 7;
}
