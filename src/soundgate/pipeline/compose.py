"""Compose ``conf/`` into ``params.yaml``: the bytes DVC's own composition writes, with the errors named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from soundgate.pipeline.inputs import register_resolver
from soundgate.pipeline.names import check_names
from soundgate.pipeline.overrides import HOW_TO_QUOTE, quoted
from soundgate.runtime.config import PARAMS_FILE
from soundgate.runtime.console import logger, set_up_logging
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.files import write_text
from soundgate.runtime.stage import errors_in_one_line

CONFIG_FOLDER = "conf"


def compose_text(overrides: Sequence[str] = (), config_folder: str | Path = CONFIG_FOLDER) -> str:
    """Compose the configuration and return it as YAML.

    Args:
        overrides: Hydra overrides: ``group=option`` (``profile=tiny``) or ``key=value`` (``seed=1``), with paths as
            they are, see ``overrides.quoted``.
        config_folder: the folder with ``config.yaml`` and its groups.

    Returns:
        What ``dvc exp run -S <override> ...`` would write to ``params.yaml``, byte for byte, of overrides that Hydra
        reads as they stand.

    Raises:
        ConfigError: an override names no known group, option or key, a value is still ``???``, or a name is not
            fit for a command.
    """
    folder = Path(config_folder).resolve()
    if not (folder / "config.yaml").is_file():
        remedy = "Run this in the root of the repository."
        raise ConfigError(folder, expected="a folder with config.yaml", found="none", remedy=remedy)
    register_resolver()
    written = quoted(overrides)
    try:
        with initialize_config_dir(str(folder), version_base=None):
            config = hydra_compose("config", overrides=written.overrides)
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(overrides, error) from error
    _refuse_missing(config)
    check_names(OmegaConf.to_container(config))
    return written.restored(OmegaConf.to_yaml(config))


def _explain(overrides: Sequence[str], error: Exception) -> ConfigError:
    subject = " ".join(overrides) or "the default composition"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ConfigError(
        subject,
        expected="groups, options and keys that stand in conf/ and are not ambiguous",
        found="; ".join(lines).rstrip("."),
        remedy=HOW_TO_QUOTE if re.search(r"=\s*[\[{]", subject) else "",
    )


def _refuse_missing(config: DictConfig) -> None:
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        remedy = f"Give them on the command line, for example: {missing[0]}=VALUE"
        raise ConfigError(", ".join(missing), expected="a value", found="???", remedy=remedy)


def compose_file(overrides: Sequence[str] = (), out: str | Path = PARAMS_FILE) -> bool:
    """Write the composition atomically to ``out``; return whether that changed the file.

    Raises:
        ConfigError: as in ``compose_text``; the file is then left as it was.
    """
    text = compose_text(overrides)
    path = Path(out)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("overrides", nargs=-1, metavar="[GROUP=OPTION | KEY=VALUE]...")
@click.option("--out", default=PARAMS_FILE, show_default=True, help="The file to write.")
def main(overrides: tuple[str, ...], out: str) -> None:
    """Compose conf/ into params.yaml.

    Without arguments this is the default composition (profile=embedded), the one committed. Examples:
    `profile=tiny`, `profile=real corpus.speech.origin=my/audio`, `ablation=window4 seed=1`.
    """
    set_up_logging()
    with errors_in_one_line():
        changed = compose_file(overrides, out)
    what = " ".join(overrides) or "default composition"
    logger.info("%s: %s (%s)", out, "written" if changed else "unchanged", what)


if __name__ == "__main__":
    main()
