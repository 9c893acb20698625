"""Is a training healthy? Figures of every so many steps, rules over them, and what to do where one fires."""

from soundgate.training.health.report import generate_diagnostics_report
from soundgate.training.health.settings import HealthSettings, load_health

__all__ = ["HealthSettings", "generate_diagnostics_report", "load_health"]
