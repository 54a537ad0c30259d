"""Code from outside that travels to workers."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.kinds import load_kind, loaded_sources
from tasks.models.outside import load_model, loaded_model_sources
from tasks.models.trust import configs_trusted, trust_configs
from tasks.outside.files import Source


@dataclass(frozen=True)
class OutsideCode:
    """The code from outside that this process has loaded, for others to load."""

    kinds: tuple[Source, ...]
    models: tuple[Source, ...]
    trusted: bool
    """Whether configs from elsewhere than mmdet and mmpose may be loaded."""

    @classmethod
    def loaded(cls) -> OutsideCode:
        """Of this process."""
        return cls(loaded_sources(), loaded_model_sources(), configs_trusted())

    def load(self) -> None:
        """Load it in this process."""
        trust_configs(self.trusted)
        for kind in self.kinds:
            load_kind(kind)
        for model in self.models:
            load_model(model)
