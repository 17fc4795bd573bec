"""Maps the folders of the tree to packages: `gateware/` installs as `cosoc.gateware`, and so on.

Everything else about the package stands in pyproject.toml; this file exists because the list of packages is computed, so that
a new folder (an accelerator, a board) needs no edit here.
"""

from setuptools import find_packages, setup

FOLDERS = {
    "cosoc": "software/package",
    "cosoc.gateware": "gateware",
    "cosoc.converter": "converter",
    "cosoc.runtime": "runtime/python",
    "cosoc.sim": "sim",
    "cosoc.boards": "boards",
    "cosoc.cli": "software/cli",
    "cosoc.apps": "software/apps",
}

setup(
    packages=[
        package for name, folder in FOLDERS.items() for package in [name, *(f"{name}.{sub}" for sub in find_packages(folder))]
    ],
    package_dir=FOLDERS,
    package_data={"": ["*.json", "*.tcl", "*.md"]},
)
