"""What keeps a push from working, found before one is sent."""

from workers.doctor.examine import examine
from workers.doctor.finding import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "examine"]
