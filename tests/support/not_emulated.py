"""What `make test TARGET=...` leaves out for another machine, whose executable qemu-user executes in a user namespace (tests/emulated)."""

# Files, tests, and tests with parameters, below the reason. test_first_steps.py checks that each exists.
NOT_EMULATED = {
    "root of a user namespace may neither make device files nor immutable ones, nor mount or unmount /proc": [
        "test_access.py::test_without_faccessat2_the_answer_is_the_same[immutable-ENOSYS]",
        "test_access.py::test_without_faccessat2_the_answer_is_the_same[immutable-EPERM]",
        "test_hand_over.py::test_what_is_left_is_named_with_the_reason",
        "test_health.py::test_a_volume_that_cannot_be_written_is_a_fault[log-immutable]",
        "test_health.py::test_a_volume_that_cannot_be_written_is_a_fault[profile-immutable]",
        "test_health.py::test_a_volume_that_cannot_be_written_is_a_fault[volume-immutable]",
        "test_hostile.py::test_a_log_that_is_none_is_no_trouble_for_status",
        "test_hostile.py::test_without_proc_a_link_of_cont_init_leads_to_the_executable",
        "test_magic_links.py::test_none_is_followed_on_whatever_way",
        "test_reconcile.py::test_what_is_no_regular_state_file_is_not_read_and_never_waited_for[device]",
    ],
    "it mounts what root of a user namespace may not mount, or not as it is in a container": [
        "test_overlay.py",
        "test_setgid.py::test_a_new_ext4_file_system_is_empty",
    ],
    "where the kernel has no faccessat2, qemu answers in its stead": [
        "test_access.py::test_what_cannot_be_found_out_is_said[ENOSYS]",
        "test_access.py::test_without_faccessat2_the_answer_is_the_same[logs-ENOSYS]",
        "test_access.py::test_without_faccessat2_the_answer_is_the_same[program-ENOSYS]",
        "test_access.py::test_without_faccessat2_the_answer_is_the_same[program-of-another-group-ENOSYS]",
        "test_access.py::test_without_faccessat2_the_answer_is_the_same[read-only-ENOSYS]",
        "test_access.py::test_without_faccessat2_the_answer_is_the_same[volume-ENOSYS]",
        "test_access.py::test_without_faccessat2_the_answer_is_the_same[volume-readonly-ENOSYS]",
    ],
    "it limits the memory, the CPU time or the descriptors of the program, and qemu needs more than the program": [
        "test_bounds.py",
        "test_hostile.py::test_a_time_zone_can_be_anything",
        "test_hostile.py::test_an_environment_that_no_registration_can_have_made_costs_no_memory",
        "test_hostile.py::test_six_hundred_profiles_and_heaps_of_junk_take_little_memory_and_few_descriptors",
        "test_hostile.py::test_states_of_a_megabyte_cost_no_memory",
        "test_hostile.py::test_too_few_descriptors_are_said_and_end_in_whole_slots_or_none",
        "test_hostile.py::test_whatever_lies_in_the_boot_log_costs_little_and_what_is_not_read_is_said",
        "test_logs.py",
        "test_untrusted_paths.py::test_a_file_for_which_there_is_no_memory_fails_alone",
    ],
    "it counts, refuses or stops at the program's system calls, and those are qemu's": [
        "test_capabilities.py::test_what_root_could_not_use_then_is_not_given_away",
        "test_failed_looks.py::test_a_fifo_that_cannot_be_looked_at_is_no_missing_supervisor",
        "test_hostile.py::test_no_file_of_its_own_takes_the_place_of_a_closed_stdin_stdout_or_stderr",
        "test_listing.py::test_several_at_once_are_told_and_done_as_one_after_the_other[with one thread more]",
        "test_listing.py::test_several_at_once_are_told_and_done_as_one_after_the_other[without threads]",
        "test_listing.py::test_threads_are_started_for_a_remote_volume_alone_and_are_few",
        "test_permissions.py::test_a_call_that_the_kernel_refuses_is_said_as_what_it_is",
        "test_refused_questions.py::test_a_refused_question_is_no_answer",
        "test_service_programs.py::test_a_pause_is_said_once_and_is_what_is_left_of_it",
        "test_status.py::test_what_is_the_same_for_all_gateways_is_read_once",
        "test_streams.py::test_a_refused_drop_is_in_the_log",
        "test_streams.py::test_streams_that_cannot_be_confined_start_no_gateway",
        "test_torture.py",
        "test_untrusted_paths.py::test_commands_and_status_execute_nothing",
        "test_untrusted_paths.py::test_the_command_is_looked_for_only_where_it_decides",
        "test_why_down.py::test_health_of_twenty_gateways_asks_each_supervisor_once_and_runs_nothing",
        "test_why_down.py::test_what_cannot_be_looked_at_is_not_healthy",
    ],
    "qemu executes the program's programs, and says for itself what is wrong with them": [
        "test_service_programs.py::test_a_loader_that_is_missing_is_named",
        "test_service_programs.py::test_a_program_that_cannot_be_executed_is_126_and_an_interpreter_that_is_missing_127",
        "test_service_programs.py::test_a_program_that_only_its_user_can_read_keeps_what_is_in_it",
    ],
    "it acts within moments that are over before an emulated program has begun": [
        "test_boundary.py::test_a_row_of_the_table[start, stop and query a gateway (`s6-svc`, `s6-svstat`)-delegated]",
        "test_dashboard.py::test_one_that_dies_again_and_again_makes_the_pauses_of_a_gateway",
        "test_deaths.py::test_a_start_between_a_few_deaths_begins_the_count_anew",
        "test_deaths.py::test_a_stop_of_one_that_is_dead_in_that_moment_begins_the_count_anew",
        "test_deaths.py::test_after_a_stop_in_a_pause_too",
        "test_deaths.py::test_after_a_stop_that_was_planned_the_count_begins_anew",
        "test_deaths.py::test_so_does_one_with_s6_alone_that_is_not_taken_back_at_once",
        "test_named_alone.py::test_so_it_is_of_gateways_that_live",
        "test_precedence.py::test_both_modes_together_are_wrong_usage_and_nothing_is_done",
        "test_role.py::test_processes_that_come_and_go_are_passed_over",
        "test_sealed.py::test_sealed_the_hermes_user_starts_stops_and_asks",
        "test_served.py::test_stop_parks_a_served_profile_and_start_has_it_served_again",
        "test_served.py::test_two_gateways_of_one_profile_are_a_fault_and_start_leaves_one",
        "test_time_limits.py::test_a_restart_in_a_pause_does_not_wait_for_its_end",
        "test_time_limits.py::test_a_restart_that_is_out_of_time_leaves_the_gateway_wanted_up",
        "test_time_limits.py::test_a_start_of_what_does_not_come_to_its_end_is_an_error_only_if_it_was_to_be_waited_for",
        "test_time_limits.py::test_a_stop_that_is_out_of_time_leaves_the_gateway_wanted_down",
        "test_two_at_once.py::test_a_stop_while_it_goes_down_revokes_what_was_to_follow",
    ],
    "it makes images for this machine, and runs them with podman": [
        "test_image.py",
    ],
    "it repeats for minutes what the others do": [
        "test_soak.py",
    ],
}


def not_emulated(test):
    """Returns why a test cannot run under emulation, or None. A test is named as by pytest, tests/FILE::NAME[PARAMETERS]."""
    for reason, names in NOT_EMULATED.items():
        for name in names:
            if test.removeprefix("tests/") == name or test.removeprefix("tests/").startswith((f"{name}::", f"{name}[")):
                return reason
    return None
