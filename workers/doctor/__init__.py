"""Checks for the conditions of a push, before one is sent."""

from workers.doctor.examine import NONE_EXAMINED, examine
from workers.doctor.finding import Diagnosis, Finding

__all__ = ["NONE_EXAMINED", "Diagnosis", "Finding", "examine"]
