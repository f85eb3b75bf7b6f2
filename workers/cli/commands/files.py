"""`imagepusher files`."""

import shutil
from importlib import resources
from pathlib import Path
from typing import Any, Final

import click

from workers.cli.output import note

# Each document goes where the links of the others look for it.
_DOCUMENTS: Final = {"tasks": ("BEHAVIOUR.md", "README.md"), "workers": ("README.md",)}


@click.command(short_help="Write deploy/ and the documents into a folder.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def files(folder: Path, **_: Any) -> None:
    """Write deploy/ and the documents into FOLDER, where imagepusher was installed as a wheel.

    Deployments, monitoring, examples and the demonstration; existing files are not overwritten.
    """
    with resources.as_file(resources.files("workers")) as package:
        _write(package, folder)


def _write(package: Path, folder: Path) -> None:
    """Write the files of the installed package `workers`; raises click's ClickException."""
    inside = package / "deploy"
    if not inside.is_dir():
        raise click.UsageError(f"imagepusher runs from its sources here: look in {package.parent / 'deploy'}.")
    target = folder / "deploy"
    if target.exists():
        raise click.UsageError(f"{target} exists already, and stays as it is: name another folder.")
    try:
        shutil.copytree(inside, target, ignore=shutil.ignore_patterns("__pycache__"))
        for package_name, names in _DOCUMENTS.items():
            (folder / package_name).mkdir(exist_ok=True)
            for name in names:
                text = resources.files(package_name).joinpath(name).read_text(encoding="utf-8")
                (folder / package_name / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or folder} cannot be written: {error.strerror or error}."
        ) from None
    note(f"{target} is written: its README.md says how to run workers, and {target / 'demo'} shows a push.")
