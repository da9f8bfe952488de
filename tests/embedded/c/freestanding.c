/*
 * The functions that compilers take for granted where there is no C library. Simple ones: a
 * firmware brings better ones.
 */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t count)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    while (count--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    if (t < f)
        return memcpy(to, from, count);
    while (count--)
        t[count] = f[count];
    return to;
}

void *memset(void *to, int value, size_t count)
{
    unsigned char *t = to;
    while (count--)
        *t++ = (unsigned char)value;
    return to;
}

int memcmp(const void *left, const void *right, size_t count)
{
    const unsigned char *l = left;
    const unsigned char *r = right;
    for (; count--; l++, r++)
        if (*l != *r)
            return *l - *r;
    return 0;
}

int bcmp(const void *left, const void *right, size_t count)
{
    return memcmp(left, right, count);
}
