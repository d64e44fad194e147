"""Rows that other tests cover: no client can send them, or they need a process of their own."""

from __future__ import annotations

ELSEWHERE = {
    75: "tests/chat/test_template.py::test_look_alikes_in_names_calls_and_results_stay_text",
    88: "tests/engine/test_engine.py::test_a_prefix_is_each_scopes_own",
    89: "tests/engine/test_block_pool.py::test_a_prefix_is_found_as_far_as_it_is_equal",
    98: "tests/api/serving/test_waiting.py::"
    "test_an_answer_that_takes_too_long_is_a_504_and_an_error_in_a_stream",
    99: "tests/serving/test_real_server.py::test_a_second_sigterm_ends_at_once",
    100: "tests/serving/test_real_server.py::test_a_killed_engine_ends_its_answers_and_comes_back",
    101: "tests/engine/test_engine.py::test_a_failure_at_one_request_ends_it_alone",
    107: "tests/chat/test_template.py::test_a_hostile_template_fails_cleanly",
    108: "tests/chat/test_template_process.py::"
    "test_a_template_that_exceeds_a_limit_is_stopped_and_works_again",
    109: "tests/chat/test_template.py::"
    "test_a_template_that_fails_at_a_greeting_is_a_broken_model_file",
    110: "tests/model_file/test_gguf.py::test_nothing_of_an_open_file_can_be_changed",
    112: "tests/model_file/test_gguf.py::test_a_split_model_that_is_not_whole_is_refused",
    118: "tests/api/access/test_keys.py::test_a_removed_key_is_refused_within_a_second",
    119: "tests/catalog/probes/test_client.py::test_a_redirect_is_not_followed_and_the_key_stays",
    123: "tests/api/http/test_gate.py::test_only_the_probes_are_open",
    125: "tests/hub/test_source.py::test_filenames_stay_in_their_folder",
    126: "tests/hub/test_transfer.py::test_a_redirect_into_the_network_is_refused",
    127: "tests/catalog/sources/test_sources.py::"
    "test_a_hostile_value_is_refused_with_a_reason_and_the_rest_applied",
    131: "tests/api/http/test_gate.py::test_a_bug_is_a_500_without_a_trace",
}
"""Row -> a test of it. Row 123 is about a second port, which this server does not have."""
