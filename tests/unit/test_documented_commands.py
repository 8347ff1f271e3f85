"""Every command in the documents is run by a test, or it is said here why it is not."""

from __future__ import annotations

import re

from tests.support.documented import commands
from tests.support.named_tests import missing

RUN_BY = {
    r"docker compose up|docker compose up -d": ["containers/test_first_run.py::test_from_nothing_to_a_chat_completion"],
    r"docker compose up -d --build": ["containers/test_first_run.py::test_down_and_up_again"],
    r"docker compose restart litellm": ["containers/test_master_key.py::test_the_key_survives_a_restart_and_down"],
    r"docker compose logs litellm \| grep copilot-hook": [
        "containers/test_master_key.py::test_with_the_key_every_worker_serves"
    ],
    r"export COMPOSE_FILE=docker-compose\.yml:docker-compose\.demo\.yml": [
        "containers/test_token_owner.py::test_a_clone_that_only_its_owner_can_read"
    ],
    r"KEY=\$\(docker compose exec .*|curl localhost:4000/.*": [
        "containers/test_master_key.py::test_the_lines_of_readme_work_as_they_are_written"
    ],
    r"docker compose (run --rm|exec) copilot-sync .*": [
        "containers/test_master_key.py::test_the_documented_commands_work_as_they_are_written"
    ],
    r"python -m sidecar connect [a-z-]+( --write)?": [
        "unit/connect/test_command.py::test_the_page_shows_what_is_printed",
        "unit/connect/test_command.py::test_write",
    ],
    r"COPILOT_MODEL_NAMES=bare python -m sidecar sync .* --adopt": [
        "unit/targets/test_takeover.py::test_a_config_of_the_older_tool"
    ],
    r"python -m sidecar status": ["unit/service/test_overview.py::test_from_the_disk"],
    r"python -m sidecar prepare|COPILOT_FOLLOW_CONFIG=.*litellm --config .*": [
        "litellm/test_follow_config.py::test_entries_are_added_changed_and_removed_live"
    ],
    r"COPILOT_MODELS_FILE=\S+ (LITELLM_CONFIG=\S+ scripts/docker_startup\.sh|python -m sidecar run|PYTHONPATH=).*|"
    r"python -m sidecar login": ["scripts/test_startup.py::test_serves_follows_survives_and_ends"],
    r"CONFIG_FILE=\S+ COPILOT_ON_CHANGE=.* scripts/setup_cron\.sh": [
        "scripts/test_shell_scripts.py::test_install_update_remove"
    ],
    r"python3 -m venv \.venv|\.venv/bin/(pip install .* -r requirements-test\.lock|python -m pytest .*)": [
        "scripts/test_install.py::test_from_a_clone_to_a_green_test"
    ],
    r"python3 -m venv \.venv && .*|\. \.venv/bin/activate|pipx install \.|copilot-model-sync --help": [
        "scripts/test_install.py::test_console_script"
    ],
    r"copilot-model-sync completion .*": ["unit/test_commands.py::test_completion_is_printed"],
    r"kubectl -n litellm get configmap .*": ["unit/targets/test_configmap.py::test_the_history_is_in_the_object"],
    r"kubectl -n litellm create secret .*|kubectl apply -k k8s/(cronjob|sidecar)": [
        "k8s/test_variants.py::test_from_secret_to_served_completion"
    ],
    r"kubectl -n litellm delete job .*": [
        "k8s/test_variants.py::test_applying_again_changes_nothing_and_takes_nothing_back"
    ],
    r"kubectl apply -k k8s/monitoring": ["monitoring/test_manifests.py::test_the_cluster_has_the_same_rules"],
    r"docker run .* prom/prometheus": ["monitoring/test_alerts.py::test_rules_and_configuration_are_valid"],
    r"export LITELLM_MASTER_KEY=.*|url=.*|(admin|me)=.*|curl \"\$\{(admin|me)\[@\]\}\" .*": [
        "litellm/test_per_user.py::test_each_member_spends_his_own_seat"
    ],
    r"curl -s localhost:8080/api/status .*": ["monitoring/test_states.py::test_each_state_is_said_in_a_sentence"],
    r"python scripts/soak\.py.*": ["litellm/test_soak.py::test_a_minute_of_everything"],
    r"scripts/matrix\.sh": ["scripts/test_litellm_scripts.py::test_the_matrix_goes_on_after_a_failure"],
    r"scripts/lock_litellm\.sh --all": ["scripts/test_litellm_scripts.py::test_all_and_the_latest_are_locked"],
    r"scripts/pin_images\.sh": ["scripts/test_supply_chain.py::test_the_script_pins_every_image"],
    r"scripts/release\.py (check|notes) ?.*": ["scripts/test_release.py::test_a_tag_has_to_fit"],
    r"scripts/release\.py compose .*": ["containers/test_released.py::test_it_works_in_an_empty_directory"],
    r"scripts/release\.py dist .*": ["scripts/test_release.py::test_wheel_and_sdist_are_the_same_twice"],
    r"python scripts/sbom\.py .*": ["scripts/test_release.py::test_the_sbom_has_what_the_lock_has"],
    r"scripts/image\.sh compare": ["containers/test_released.py::test_two_builds_are_the_same"],
    r"(COPILOT_TEST_EXAMPLES=100 )?scripts/test\.sh.*": [
        "scripts/test_litellm_scripts.py::test_the_quick_ones_and_all",
        "scripts/test_litellm_scripts.py::test_the_tests_run_on_the_version_that_is_asked_for",
    ],
}
"""Commands, and the tests that run them: as they stand, or to the same effect on a machine for tests."""
NOT_RUN = {
    r"mkdir -p shared": "it makes a directory",
    r"git pull": "it asks the project's repository",
    r"(python )?scripts/bench\.py.*": "it measures for minutes; unit/test_bench.py tries its parts",
    r"scripts/fuzz\.sh 600": "ten minutes a door; CI runs the script without a number",
    r"git tag -s .*": "it makes a release",
    r"(cosign verify|gh attestation verify|gh release download) .*": "they ask about a release that has been made",
    r"uv pip compile .*": "it asks the package index what is newest; test_supply_chain.py reads the result",
    r"kubectl delete -k k8s/cronjob|kubectl -n litellm delete secret .*": "the tests delete the namespace as a whole",
}


def test_every_command_is_run():
    """A command that is added to a page needs a test, and one that has gone no row."""
    shown = dict.fromkeys(command for _, command in commands())
    assert len(shown) > 60
    for command in shown:
        found = [pattern for pattern in (*RUN_BY, *NOT_RUN) if re.fullmatch(pattern, command, re.DOTALL)]
        assert len(found) == 1, (command, found)
    for pattern in (*RUN_BY, *NOT_RUN):
        assert any(re.fullmatch(pattern, command, re.DOTALL) for command in shown), pattern
    assert missing([name for names in RUN_BY.values() for name in names]) == []
