"""Flower's options: access, and the list of tasks. `start.py` in the same folder starts Flower with them.

Every other option may be set in the environment, as FLOWER_<OPTION> (see Flower's documentation).
"""

import os
import re
from pathlib import Path
from typing import Any

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_YES = ("1", "true", "yes", "on")


def _said(name: str) -> str:
    """Return FLOWER_<name>, or the content of the file FLOWER_<name>_FILE: secrets are best kept in files."""
    file = os.environ.get(f"FLOWER_{name}_FILE")
    if not file:
        return os.environ.get(f"FLOWER_{name}", "")
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SystemExit(f"The file that FLOWER_{name}_FILE names, {file}, cannot be read: {reason}.") from None


address = _said("ADDRESS") or "127.0.0.1"
# user:password, one on each line or several separated by commas.
basic_auth = [login for login in _said("BASIC_AUTH").replace("\n", ",").split(",") if login]
# A pattern of e-mail addresses; it needs FLOWER_AUTH_PROVIDER, FLOWER_OAUTH2_KEY, _SECRET and _REDIRECT_URI too.
auth = _said("AUTH")
oauth2_secret = _said("OAUTH2_SECRET") or None

if not all(re.fullmatch(r"[^:]+:.+", login) for login in basic_auth):
    raise SystemExit("FLOWER_BASIC_AUTH must be user:password, or several of them joined by commas.")
if not (basic_auth or auth):
    if address not in _LOOPBACK:
        raise SystemExit(
            f"Flower would be open to everybody who reaches {address}: set FLOWER_BASIC_AUTH_FILE (user:password), or"
            " FLOWER_AUTH and an OAuth provider. Without a login it serves loopback only."
        )
    if os.environ.get("FLOWER_UNAUTHENTICATED_API"):
        raise SystemExit("FLOWER_UNAUTHENTICATED_API lets any web page read the API: set a login instead.")

# A user without a login may read, but not change anything.
read_only = not (basic_auth or auth) or os.environ.get("FLOWER_READ_ONLY", "").lower() in _YES

tasks_columns = "name,args,state,result,received,runtime,uuid"
max_tasks = int(os.environ.get("FLOWER_MAX_TASKS") or 20_000)
# A worker that was scaled down need not be listed for long.
purge_offline_workers = int(os.environ.get("FLOWER_PURGE_OFFLINE_WORKERS") or 3_600)


def format_task(task: Any) -> Any:
    """Shorten a task's result to the error or a summary; the report of a push has the details."""
    result = task.result or ""
    if task.state in ("FAILURE", "RETRY", "REVOKED"):
        failed = re.match(r"PushFailed\(['\"]Push \S+: (.*)['\"]\)$", task.exception or "", re.DOTALL)
        task.result = failed[1] if failed else task.exception
    elif report := re.match(r"\{'push_id': '[^']*', 'state': '(\w+)'.*'seconds': ([\d.]+)", result, re.DOTALL):
        task.result = f"{report[1]} in {report[2]} s"
    elif text := re.fullmatch(r"'(.*)'", result):
        task.result = text[1]
    return task
