"""Installs a plugin for a test: a module and the metadata of a distribution, as pip leaves them in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent


def install(
    folder: Path,
    kind: str,
    source: str,
    *,
    distribution: str | None = None,
    version: str = "1.2.3",
    also: Sequence[str] = (),
) -> None:
    """Put a distribution with an entry point named `kind` into `folder`; `source` is the text of its module.

    `also` names more entry points of the same module.

    Whoever has the folder on its path (`sys.path`, `PYTHONPATH`) finds the plugin as it finds any that is installed.
    """
    module = f"callbridge_test_{kind}"
    name = distribution or f"callbridge-test-{kind}"
    (folder / f"{module}.py").write_text(dedent(source), encoding="utf-8")
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(
        "\n".join(["[callbridge]", *(f"{name} = {module}" for name in (kind, *also))]), encoding="utf-8"
    )
