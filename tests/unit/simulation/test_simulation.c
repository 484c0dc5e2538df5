/*
 * SIM_STEPS sets the number of steps, SIM_SEED the first seed. The seed is printed: the same seed
 * repeats a failure.
 */
#include "../../support.h"

#include "world.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *const text = getenv(name);

	return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

START_TEST(every_promise_holds_after_every_step)
{
	const uint64_t steps = from_environment("SIM_STEPS", 2000000);
	const uint64_t first_seed = from_environment("SIM_SEED", 20240229);
	uint64_t seed = first_seed;
	uint64_t worlds = 1, spawns = 0, reloads = 0;

	printf("simulation: SIM_SEED=%" PRIu64 " SIM_STEPS=%" PRIu64 "\n", first_seed, steps);
	fflush(stdout);
	create_world(seed);
	for (uint64_t i = 0; i < steps; i++) {
		operators_act();
		change_backlogs();
		advance_clock();
		processes_act();
		const bool over = turn();
		check_empty_pools();
		check_numbers();
		check_spawn_rate();
		check_stop();
		if (!over && w.supervisor.phase == PFI_PHASE_RUNNING && pick(5000) == 0)
			check_convergence();
		if (over || w.generation + 1 == GENERATIONS) {
			promise(!over || w.reloads == w.verdicts);
			spawns += w.spawns;
			reloads += w.reloads;
			worlds++;
			create_world(pfi_random(&seed));
		}
	}
	printf("simulation: %" PRIu64 " runs, %" PRIu64 " spawns, %" PRIu64 " reloads\n", worlds, spawns, reloads);
	promise(steps < 100000 || (worlds > 10 && spawns > 1000 && reloads > 100));
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("simulation");
	TCase *const tc = new_case(suite, "simulation");

	tcase_set_timeout(tc, 0); /* meson has one */
	tcase_add_test(tc, every_promise_holds_after_every_step);

	return run_suite(suite);
}
