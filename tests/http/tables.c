#include "tables.h"

#include "guard.h"

struct tables tables;

static struct guard guard;

void tables_open(const char *violations, const char *valid)
{
	tables = (struct tables){ read_cases(violations), read_cases(valid) };
	guard_open(&guard, 1 << 20);
}

void tables_close(void)
{
	guard_close(&guard);
	free_cases(&tables.violations);
	free_cases(&tables.valid);
}

const char *tables_put(const char *bytes, size_t length)
{
	return guard_put(&guard, bytes, length);
}

static bool is_same(const struct one_case *a, const struct one_case *b, bool with_number)
{
	return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0 &&
	       (!with_number || a->number == b->number);
}

void tables_expect(int violations_min, int valid_min, bool with_number)
{
	const struct cases *const violations = &tables.violations;

	ck_assert_int_ge(violations->count, violations_min);
	ck_assert_int_ge(tables.valid.count, valid_min);
	for (int i = 0; i < violations->count; i++) {
		for (int j = 0; j < i; j++)
			ck_assert_msg(!is_same(&violations->all[i], &violations->all[j], with_number),
			              "the table has %s twice", violations->all[i].name);
	}
}

size_t tables_next_cut(size_t cut, size_t length)
{
	return cut < 600 || cut + 300 > length ? cut + 1 : cut + 61;
}

int tables_run(Suite *suite)
{
	const int status = run_suite(suite);

	tables_close();
	return status;
}
