"""Does CI run what people run, with nothing that could change under it?"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.processes import PROJECT
from tests.test_documentation import targets

WORKFLOW = PROJECT / ".github/workflows/ci.yml"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    return workflow["jobs"]


def test_every_target_that_it_makes_is_there(jobs: dict[str, Any]) -> None:
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    made = {target for line in lines for target in re.findall(r"\bmake ([a-z-]+)", line)}
    made |= set(jobs["drills"]["strategy"]["matrix"]["target"])
    assert {"check", "audit", "test", "test-compose", "test-wheel", "test-upgrade"} <= made <= targets()


def test_every_supported_postgresql_is_tested(jobs: dict[str, Any]) -> None:
    assert [one["postgres"] for one in jobs["test"]["strategy"]["matrix"]["include"]] == ["15", "16", "17", "18"]


def test_every_action_is_named_by_its_commit_and_every_job_ends(jobs: dict[str, Any]) -> None:
    actions = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert actions
    assert [action for action in actions if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []
    assert all(job["timeout-minutes"] <= 60 for job in jobs.values())
