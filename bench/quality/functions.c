#include "bench/quality/functions.h"

#include <math.h>
#include <stdio.h>

#include "bench/quality/params.h"

static double sq(double x)
{
    return x * x;
}

static double shifted_sphere(const double *v, int n, double scale)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += sq(v[i] - scale * (((i * 37 + 11) % 17) / 16.0 - 0.5));
    return sum;
}

/* --- looked at while building ------------------------------------------------------------------
 */

static const struct quality_param five[] = {FLOAT("a", -5, 5), FLOAT("b", -5, 5), FLOAT("c", -5, 5),
                                            FLOAT("d", -5, 5), FLOAT("e", -5, 5)};
static double sphere5(const double *v)
{
    return shifted_sphere(v, 5, 7);
}

static double rugged5(const double *v)
{
    double phase = 0;
    for (int i = 0; i < 5; i++)
        phase += v[i] * (i + 1);
    return shifted_sphere(v, 5, 7) + 0.5 * sin(100 * phase);
}

static const struct quality_param four[] = {FLOAT("a", -2, 2), FLOAT("b", -2, 2), FLOAT("c", -2, 2),
                                            FLOAT("d", -2, 2)};
static double rosenbrock4(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 3; i++)
        sum += 100 * sq(v[i + 1] - v[i] * v[i]) + sq(1 - v[i]);
    return sum;
}

static const struct quality_param branin_params[] = {FLOAT("x", -5, 10), FLOAT("y", 0, 15)};
static double branin(const double *v)
{
    double x = v[0], y = v[1];
    return sq(y - 5.1 / (4 * M_PI * M_PI) * x * x + 5 / M_PI * x - 6) +
           10 * (1 - 1 / (8 * M_PI)) * cos(x) + 10;
}

static const struct quality_param six[] = {FLOAT("a", 0, 1), FLOAT("b", 0, 1), FLOAT("c", 0, 1),
                                           FLOAT("d", 0, 1), FLOAT("e", 0, 1), FLOAT("f", 0, 1)};
static double hartmann6(const double *v)
{
    static const double alpha[] = {1, 1.2, 3, 3.2};
    static const double a[4][6] = {{10, 3, 17, 3.5, 1.7, 8},
                                   {0.05, 10, 17, 0.1, 8, 14},
                                   {3, 3.5, 1.7, 10, 17, 8},
                                   {17, 8, 0.05, 10, 0.1, 14}};
    static const double p[4][6] = {{0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886},
                                   {0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991},
                                   {0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650},
                                   {0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381}};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        double e = 0;
        for (int j = 0; j < 6; j++)
            e += a[i][j] * sq(v[j] - p[i][j]);
        sum -= alpha[i] * exp(-e);
    }
    return sum;
}

static double rastrigin4(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        double x = 2.5 * v[i] - 0.7 * i;
        sum += x * x - 10 * cos(2 * M_PI * x) + 10;
    }
    return sum;
}

static const struct quality_param network_params[] = {
    LOG("lr", 1e-5, 1),
    LOG("decay", 1e-6, 0.1),
    FLOAT("dropout", 0, 0.8),
    FLOAT("momentum", 0, 0.99),
    INT("layers", 1, 8),
    INTLOG("units", 8, 512),
    CHOICE("act", "\"relu\",\"tanh\",\"gelu\""),
    CHOICE("opt", "\"sgd\",\"adam\",\"rmsprop\",\"adamw\"")};
static double network(const double *v)
{
    static const double best_lr[] = {-1, -3, -3.5, -2.7}, opt[] = {0.1, 0.02, 0.06, 0},
                        act[] = {0.05, 0.2, 0};
    double loss = 0.3 * sq(log10(v[0]) - best_lr[(int)v[7]]) + opt[(int)v[7]] + act[(int)v[6]];
    loss += 0.05 * sq(log10(v[1]) + 3.5) + sq(v[2] - 0.25 - 0.02 * v[4]);
    loss += v[7] == 0 ? 0.5 * sq(v[3] - 0.9) : 0.05 * sq(v[3] - 0.5);
    return loss + 0.04 * fabs(v[4] - 4) + 0.06 * sq(log2(v[5]) - 7 + 0.3 * (v[4] - 4));
}

static const struct quality_param ints_params[] = {INT("a", 0, 30), INT("b", 0, 30),
                                                   INT("c", 0, 30), INT("d", 0, 30),
                                                   INT("e", 0, 30), INT("f", 0, 30)};
static double ints6(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += sq(v[i] - (i * 11 + 4) % 29) / 10;
    return sum + fabs(v[0] + v[1] - v[2]) / 5 + fabs(v[3] - v[4] - 3) / 5;
}

#define FOUR "\"a\",\"b\",\"c\",\"d\""
static const struct quality_param cats_params[] = {
    CHOICE("a", FOUR), CHOICE("b", FOUR), CHOICE("c", FOUR), CHOICE("d", FOUR),
    CHOICE("e", FOUR), CHOICE("f", FOUR), CHOICE("g", FOUR), CHOICE("h", FOUR)};
static double cats8(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 8; i++) {
        int c = (int)v[i], next = (int)v[(i + 1) % 8];
        sum += (i * 7 + c * 5 + 3) * (c + 2) % 11 / 10.0 + (c * 3 + next * 5 + i * 2) % 7 / 14.0;
    }
    return sum;
}

static const struct quality_param model_params[] = {
    CHOICE("kind", "\"svm\",\"forest\",\"net\""),
    {"c", "{\"type\":\"float\",\"low\":1e-3,\"high\":1e3,\"log\":true}", "kind == \"svm\""},
    {"gamma", "{\"type\":\"float\",\"low\":1e-4,\"high\":10,\"log\":true}", "kind == \"svm\""},
    {"depth", "{\"type\":\"int\",\"low\":1,\"high\":20}", "kind == \"forest\""},
    {"share", "{\"type\":\"float\",\"low\":0.1,\"high\":1}", "kind == \"forest\""},
    {"lr", "{\"type\":\"float\",\"low\":1e-5,\"high\":1,\"log\":true}", "kind == \"net\""},
    {"layers", "{\"type\":\"int\",\"low\":1,\"high\":6}", "kind == \"net\""},
    FLOAT("scale", 0, 1)};
static double model(const double *v)
{
    double common = 0.2 * sq(v[7] - 0.6);
    if (v[0] == 0)
        return 0.12 + 0.05 * sq(log10(v[1]) - 1) + 0.08 * sq(log10(v[2]) + 2 + 0.3 * log10(v[1])) +
               common;
    if (v[0] == 1)
        return 0.15 + 0.004 * sq(v[3] - 11) + 0.3 * sq(v[4] - 0.4) + common;
    return 0.1 + 0.1 * sq(log10(v[5]) + 2.5) + 0.03 * sq(v[6] - 3) + common;
}

/* --- held out ----------------------------------------------------------------------------------
 */

static const struct quality_param ackley_params[] = {FLOAT("a", -20, 30), FLOAT("b", -20, 30),
                                                     FLOAT("c", -20, 30), FLOAT("d", -20, 30),
                                                     FLOAT("e", -20, 30), FLOAT("f", -20, 30)};
static double ackley6(const double *v)
{
    double squares = 0, cosines = 0;
    for (int i = 0; i < 6; i++) {
        double x = v[i] - 1.7 * i + 2;
        squares += x * x / 6;
        cosines += cos(2 * M_PI * x) / 6;
    }
    return 20 - 20 * exp(-0.2 * sqrt(squares)) + M_E - exp(cosines);
}

static const struct quality_param levy_params[] = {FLOAT("a", -10, 10), FLOAT("b", -10, 10),
                                                   FLOAT("c", -10, 10), FLOAT("d", -10, 10),
                                                   FLOAT("e", -10, 10)};
static double levy5(const double *v)
{
    double w[5];
    for (int i = 0; i < 5; i++)
        w[i] = 1 + (v[i] - 1) / 4;
    double sum = sq(sin(M_PI * w[0])) + sq(w[4] - 1) * (1 + sq(sin(2 * M_PI * w[4])));
    for (int i = 0; i < 4; i++)
        sum += sq(w[i] - 1) * (1 + 10 * sq(sin(M_PI * w[i] + 1)));
    return sum;
}

static const struct quality_param eight[] = {
    FLOAT("a", -5, 5), FLOAT("b", -5, 5), FLOAT("c", -5, 5), FLOAT("d", -5, 5),
    FLOAT("e", -5, 5), FLOAT("f", -5, 5), FLOAT("g", -5, 5), FLOAT("h", -5, 5)};
static double ellipsoid8(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 8; i++)
        sum += pow(10, 3 * i / 7.0) * sq(v[i] - 1 + 0.3 * i + 0.4 * v[(i + 1) % 8]);
    return sum;
}

static double styblinski5(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 5; i++)
        sum += (sq(sq(v[i])) - 16 * sq(v[i]) + 5 * v[i]) / 2;
    return sum;
}

static const struct quality_param pi_params[] = {
    FLOAT("a", 0, 3.141592653589793), FLOAT("b", 0, 3.141592653589793),
    FLOAT("c", 0, 3.141592653589793), FLOAT("d", 0, 3.141592653589793),
    FLOAT("e", 0, 3.141592653589793)};
static double michalewicz5(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 5; i++)
        sum -= sin(v[i]) * pow(sin((i + 1) * v[i] * v[i] / M_PI), 20);
    return sum;
}

#define U(n) FLOAT(n, 0, 1)
static const struct quality_param fifteen[] = {U("a"), U("b"), U("c"), U("d"), U("e"),
                                               U("f"), U("g"), U("h"), U("i"), U("j"),
                                               U("k"), U("l"), U("m"), U("n"), U("o")};
static double sphere15(const double *v)
{
    double sum = 0;
    for (int i = 0; i < 15; i++)
        sum += (i % 3 == 2 ? 0.05 : 1) * sq(v[i] - ((i * 7 + 5) % 16) / 16.0);
    return sum;
}

static const struct quality_param boost_params[] = {
    LOG("eta", 1e-3, 1),
    INT("depth", 1, 12),
    LOG("lambda", 1e-8, 100),
    LOG("alpha", 1e-8, 100),
    FLOAT("subsample", 0.2, 1),
    FLOAT("colsample", 0.2, 1),
    INTLOG("rounds", 10, 1000),
    INT("child", 1, 20),
    CHOICE("grow", "\"depthwise\",\"lossguide\""),
    CHOICE("booster", "\"gbtree\",\"dart\",\"gblinear\"")};
static double boost(const double *v)
{
    double effort = log10(v[0]) + 0.8 * log10(v[6]) - 0.6, linear = v[9] == 2;
    double fit = 0.25 * sq(effort) + (1 - linear) * 0.006 * sq(v[1] - 6 - (v[8] == 1));
    double regular = 0.01 * sq(log10(v[2]) - 0.3) + 0.004 * fabs(log10(v[3]) + 2);
    double sampling = 0.3 * sq(v[4] - 0.75) + 0.15 * sq(v[5] - 0.6) + 0.0008 * sq(v[7] - 4);
    return 0.2 + fit + regular + sampling + 0.15 * linear + 0.02 * (v[9] == 1) + 0.01 * (v[8] == 0);
}

static const struct quality_param grid_params[] = {STEP("a", 0, 1, 0.05), STEP("b", 0, 1, 0.05),
                                                   STEP("c", 0, 1, 0.1),  INTLOG("d", 1, 256),
                                                   INTLOG("e", 1, 256),   INT("f", 1, 5)};
static double grid6(const double *v)
{
    return sq(v[0] - 0.35) + sq(v[1] - v[0] - 0.2) + 0.5 * fabs(v[2] - 0.8) +
           0.02 * sq(log2(v[3]) - 5) + 0.02 * sq(log2(v[4]) + log2(v[3]) - 8) +
           0.05 * fabs(v[5] - 4);
}

#define SIX "0,1,2,3,4,5"
static const struct quality_param mixed_params[] = {CHOICE("a", SIX),          CHOICE("b", SIX),
                                                    CHOICE("c", "true,false"), FLOAT("x", -3, 3),
                                                    FLOAT("y", -3, 3),         FLOAT("z", -3, 3)};
static double mixed6(const double *v)
{
    int a = (int)v[0], b = (int)v[1];
    double offset = (a * 5 + b * 2) % 6 / 5.0, turn = v[2] == 0 ? 1 : -0.5;
    return offset + (a == b) * 0.4 + 0.3 * sq(v[3] - turn) +
           0.2 * sq(v[4] - 0.5 * v[3] + (b - 2.5) / 2.5) + 0.3 * sq(v[5] + 1);
}

static const struct quality_param tree_params[] = {
    CHOICE("deep", "false,true"),
    FLOAT("x", -1, 1),
    {"y", "{\"type\":\"float\",\"low\":-1,\"high\":1}", "deep == true"},
    {"extra", "{\"type\":\"categorical\",\"choices\":[\"none\",\"one\",\"two\"]}", "deep == true"},
    {"z", "{\"type\":\"float\",\"low\":-1,\"high\":1}", "extra == \"two\""},
    {"n", "{\"type\":\"int\",\"low\":1,\"high\":9}", "deep == true"},
    LOG("w", 1e-4, 1)};
static double tree(const double *v)
{
    double sum = 0.3 * sq(v[1] - 0.4) + 0.05 * sq(log10(v[6]) + 1.5);
    if (v[0] == 0)
        return 0.5 + sum;
    sum += 0.5 * sq(v[2] + 0.3) + 0.01 * sq(v[5] - 6);
    return sum + (v[3] == 0 ? 0.3 : v[3] == 1 ? 0.2 : 0.5 * sq(v[4] - 0.7));
}

/* A real task: validation loss of XGBoost, measured on a grid (bench/quality/xgboost_table.py),
 * with linear interpolation between the grid's points. */
enum { AXES = 5 };
static const int sides[AXES] = {8, 6, 4, 5, 4};
static double table[8 * 6 * 4 * 5 * 4];
static const struct quality_param xgboost_params[] = {
    LOG("eta", 0.01, 1), INT("depth", 1, 6), FLOAT("subsample", 0.25, 1), LOG("child", 0.1, 1000),
    LOG("lambda", 0.001, 1000)};

int quality_load_table(const char *path)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return -1;
    size_t n = 0;
    while (n < N(table) && fscanf(f, "%lf", &table[n]) == 1)
        n++;
    (void)fclose(f);
    return n == N(table) ? 0 : -1;
}

static double xgboost(const double *v)
{
    double u[AXES] = {log(v[0] / 0.01) / log(100), (v[1] - 1) / 5, (v[2] - 0.25) / 0.75,
                      log(v[3] / 0.1) / log(1e4), log(v[4] / 0.001) / log(1e6)};
    double sum = 0;
    for (int corner = 0; corner < 1 << AXES; corner++) {
        double weight = 1;
        int at = 0;
        for (int i = 0; i < AXES; i++) {
            double x = fmin(fmax(u[i], 0), 1) * (sides[i] - 1);
            int low = (int)fmin(floor(x), sides[i] - 2), up = corner >> i & 1;
            weight *= up ? x - low : 1 - (x - low);
            at = at * sides[i] + low + up;
        }
        sum += weight * table[at];
    }
    return sum;
}

#define F(name, set, params)                                                                       \
    {                                                                                              \
#name, set, name, params, N(params), 0                                                     \
    }
static const struct quality_function known[] = {
    F(sphere5, "tune", five),           F(rugged5, "tune", five),
    F(rosenbrock4, "tune", four),       F(branin, "tune", branin_params),
    F(hartmann6, "tune", six),          F(rastrigin4, "tune", four),
    F(network, "tune", network_params), F(ints6, "tune", ints_params),
    F(cats8, "tune", cats_params),      F(model, "tune", model_params),
    F(ackley6, "held", ackley_params),  F(levy5, "held", levy_params),
    F(ellipsoid8, "held", eight),       F(styblinski5, "held", five),
    F(michalewicz5, "held", pi_params), F(sphere15, "held", fifteen),
    F(boost, "held", boost_params),     F(grid6, "held", grid_params),
    F(mixed6, "held", mixed_params),    F(tree, "held", tree_params),
    F(xgboost, "held", xgboost_params),
};

const struct quality_function *quality_function(size_t i)
{
    if (i < N(known))
        return &known[i];
    i -= N(known);
    if (i < n_quality_fresh)
        return &quality_fresh[i];
    i -= n_quality_fresh;
    return i < n_quality_last ? &quality_last[i] : NULL;
}
