"""Build the images, run the stack of docker-compose.yml, break it, upgrade it, remove it."""

import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import yaml

from deploy.compose_test import bucket, images, steps
from deploy.compose_test.engine import Engine, Failed, find_engine
from deploy.compose_test.report import Report
from deploy.compose_test.stack import SERVICES, Stack
from deploy.compose_test.upgrading import Upgrade

EARLIER = "ccd205370f1a366220a02ac82448977b6588188d"
"""The commit to upgrade from; its database's schema is older."""

Images = Mapping[str, str]
"""The image of each service."""


def main() -> int:
    """Run the test; return 0 if every step passed, or if containers cannot run here."""
    try:
        engine = find_engine()
        if engine.is_podman:
            images.check_podman(engine)
    except Failed as failure:
        print(f"skipped, because containers cannot run here: {failure}")
        return 0
    report = Report()
    try:
        with tempfile.TemporaryDirectory(prefix="tidemill-compose-") as folder:
            _test(engine, Path(folder), report)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        print(f"\n{report.table()}")
    return 0


def _test(engine: Engine, folder: Path, report: Report) -> None:
    stood_in, earlier, current = _build(engine, folder / "earlier", report)
    (folder / "workspace").mkdir()
    stack = Stack(engine, folder / "workspace")
    earlier, current = {**stood_in, **earlier}, {**stood_in, **current}
    stack.use(earlier)
    try:
        _use(stack, earlier, current, folder / "before.dump", report)
        stack.down()
        _use_a_bucket(stack, report)
    except Failed as failure:
        raise Failed(f"{failure}\n{stack.logs()}") from failure
    finally:
        with report.step("take it down") as step:
            stack.down()
            step.found = "no container, network or volume is left"


def _use(stack: Stack, earlier: Images, current: Images, dump: Path, report: Report) -> None:
    with report.step("start the earlier commit") as step:
        stack.up()
        step.found = f"{', '.join(SERVICES)} are healthy"
    key = steps.create_key(stack, "jobs")
    upgrade = Upgrade(stack, key, earlier, current, dump)
    for name, act in (
        ("train the first model", partial(steps.wait_for_the_first_model, stack, key)),
        ("predict", partial(steps.predict, stack, key)),
        ("back up under load", upgrade.back_up),
        ("upgrade under load", upgrade.upgrade),
        ("predict with a new key", partial(steps.predict_with_a_new_key, stack)),
        ("retrain under load", partial(steps.retrain, stack, key, 2)),
        ("roll back", upgrade.roll_back),
        ("upgrade again under load", upgrade.upgrade),
        # Version 2 is in the repository, but not in the restored database.
        ("retrain again under load", partial(steps.retrain, stack, key, 3)),
        *((f"kill {service}", partial(steps.kill, stack, key, service)) for service in SERVICES),
        ("start without PostgreSQL", partial(steps.start_without_database, stack, key)),
        ("restart all", partial(steps.restart, stack, key)),
    ):
        with report.step(name) as step:
            step.found = act()


def _use_a_bucket(stack: Stack, report: Report) -> None:
    with report.step("start with a bucket") as step:
        key = bucket.start(stack)
        step.found = steps.wait_for_the_first_model(stack, key)
    with report.step("let Triton read the bucket") as step:
        step.found = bucket.serve_from_it(stack, key)


def _build(engine: Engine, folder: Path, report: Report) -> tuple[dict[str, str], ...]:
    """Return the images by service: those that are pulled, the earlier and the current ones."""
    services = yaml.safe_load((images.ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    with report.step("provide the base images") as step:
        images.provide_python(engine)
        database = step.found = images.postgres(engine, services["postgres"]["image"])
    source = images.checkout(EARLIER, folder)
    built = []
    for version, tree in (("earlier", source), ("current", images.ROOT)):
        with report.step(f"build the {version} images") as step:
            built.append(
                {each: images.build(engine, tree, each, version) for each in ("server", "jobs")}
            )
            step.found = ", ".join(built[-1].values())
    with report.step("provide Triton's image") as step:
        triton = images.triton(engine, services["triton"]["image"], built[-1]["server"])
        step.found = triton
    return {"postgres": database, "triton": triton}, *built


if __name__ == "__main__":
    sys.exit(main())
