# shellcheck shell=bash
# Functions that bring a fresh Debian or Ubuntu machine to where deploy/demo and tests/run can work; sourced by both.
# Sets project_root, venv (IMAGEPUSHER_VENV overrides the folder) and installed (the command, where the project is not there). A second run changes nothing and needs no network.

project_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${IMAGEPUSHER_VENV:-$project_root/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv
# What `imagepusher files` has written stands without the project, and is for the installed program.
installed=''
if [[ ! -f $project_root/pyproject.toml ]]; then
  installed=$(command -v imagepusher) && venv=$(dirname "$(dirname "$(readlink -f "$installed")")")
fi

_policy=/usr/sbin/policy-rc.d
_policy_mark='# temporary, from deploy/setup.sh of imagepusher: no service starts while packages are installed'

say() { printf '%s\n' "$*" >&2; }

# need_packages PACKAGE…: install the Debian packages that are missing. Services that they bring are neither started
# nor left enabled. Returns 1, and says what to do, if they cannot be installed.
need_packages() {
  local missing
  mapfile -t missing < <(_missing_packages "$@")
  ((${#missing[@]})) || return 0
  if ! command -v apt-get >/dev/null; then
    say "Missing: ${missing[*]}. There is no apt-get here to install them with; this script knows Debian and Ubuntu only."
    return 1
  fi
  if ! _can_be_root; then
    say "Missing: ${missing[*]}. Run this as root or as a user with sudo, or install them first:" \
      "apt-get install --no-install-recommends ${missing[*]}"
    return 1
  fi
  say "Installing packages: ${missing[*]}"
  # One installation at a time on this machine: two at once would fight over policy-rc.d and the package lists.
  (
    flock -w 900 9 || { say "Another run has been installing packages for 15 minutes."; exit 1; }
    _install_packages "$@"
  ) 9</var/lib/dpkg
}

# need_venv DIR EXTRAS: make DIR a virtual environment that holds the project, editable, with EXTRAS (such as `dev`, or
# an empty string), at the versions of deploy/constraints.txt. A stamp in DIR tells that nothing is left to do.
need_venv() {
  local dir=$1 extras=$2 parent
  [[ -z $installed ]] || return 0
  if [[ ! -f $project_root/pyproject.toml ]]; then
    say "There is neither the project in $project_root nor a command imagepusher: activate the environment that has it."
    return 1
  fi
  _stamp_holds "$dir" "$extras" && return 0
  parent=$(dirname "$dir")
  mkdir -p "$parent" || return 1
  (
    flock -w 900 9 || { say "Another run has been preparing $dir for 15 minutes."; exit 1; }
    _stamp_holds "$dir" "$extras" || _fill_venv "$dir" "$extras"
  ) 9<"$parent"
}

# find_python: print the path of a Python of version 3.11 or newer, the default one first. Of one in a virtual
# environment, print the one that it was made from: the environment may be the one that is made anew.
find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      "$name" -c 'import sys; print(sys._base_executable)'
      return 0
    fi
  done
  say "Python 3.11 or newer is needed, and none of python3, python3.13, python3.12, python3.11 is one."
  return 1
}

_missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
  done
}

_can_be_root() {
  ((EUID == 0)) && return 0
  command -v sudo >/dev/null || return 1
  # Without a terminal a password cannot be asked for, and must not be waited for.
  if [[ -t 2 ]]; then sudo true; else sudo -n true 2>/dev/null; fi
}

_as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# The lock is closed for apt-get: a process that outlives it must not keep the lock.
_apt_get() {
  _as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold "$@" </dev/null 9<&-
}

# Runs in a subshell of its own, so that its traps do not meet those of the script. What the traps use cannot be local.
_install_packages() {
  local wanted status=0
  mapfile -t wanted < <(_missing_packages "$@")
  ((${#wanted[@]})) || return 0
  log=$(mktemp) before=$(mktemp)
  trap '_allow_services; rm -f "$log" "$before"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  _installed_packages >"$before"
  _forbid_services || return 1
  # Old package lists name files that are gone: a failed installation is tried again with new lists.
  { _known_packages "${wanted[@]}" && _apt_install "${wanted[@]}"; } >"$log" 2>&1 \
    || { _update_lists && _apt_install "${wanted[@]}"; } >>"$log" 2>&1 || status=1
  _disable_new_services "$before" >>"$log" 2>&1
  if ((status)); then
    say "Installing ${wanted[*]} failed; the log ends:"
    tail -n 40 "$log" >&2
  fi
  return "$status"
}

_apt_install() { _apt_get install --no-install-recommends "$@"; }

# Unlike dpkg's, the lock of the package lists is not waited for by apt-get itself.
_update_lists() {
  local attempt
  for ((attempt = 0; attempt < 60; attempt++)); do
    if LC_ALL=C _apt_get update >"$log.update" 2>&1 || ! grep -q 'Could not get lock' "$log.update"; then break; fi
    sleep 5
  done
  cat "$log.update"
  rm -f "$log.update"
}

_known_packages() {
  local package
  for package in "$@"; do
    LC_ALL=C apt-cache policy "$package" | grep -q '^  Candidate: [^(]' || return 1
  done
}

_installed_packages() {
  dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' | sed -n 's/^installed //p' | LC_ALL=C sort
}

_forbid_services() {
  [[ -e $_policy ]] && return 0
  # shellcheck disable=SC2016 # expanded by the inner shell
  _as_root sh -c 'printf "#!/bin/sh\n%s\nexit 101\n" "$2" >"$1" && chmod 755 "$1"' sh "$_policy" "$_policy_mark"
}

# The mark also finds the file of a run that was killed.
_allow_services() {
  if grep -qsxF "$_policy_mark" "$_policy"; then _as_root rm -f "$_policy"; fi
}

# Packages enable their units even where policy-rc.d keeps them from starting: the next boot would start them.
_disable_new_services() {
  local before=$1 package path units=()
  command -v systemctl >/dev/null || return 0
  while read -r package; do
    while read -r path; do
      units+=("$(basename "$path")")
    done < <(dpkg-query -L "$package" | grep -E '^(/usr)?/lib/systemd/system/[^/]+\.(service|socket|timer|path)$')
  done < <(_installed_packages | LC_ALL=C comm -13 "$before" -)
  ((${#units[@]})) || return 0
  _as_root systemctl disable "${units[@]}"
  if [[ -d /run/systemd/system ]]; then _as_root systemctl stop "${units[@]}"; fi
}

# What an environment depends on: the interpreter in it, where the project is, what is asked for and at which versions.
_identity() {
  printf '%s\n' "$project_root"
  "$1/bin/python" -VV 2>/dev/null
}

_fingerprint() {
  { _identity "$1"; cat "$project_root/pyproject.toml" "$project_root/deploy/constraints.txt"; } | sha256sum
}

_stamp_holds() {
  local stamp="$1/.imagepusher-installed-$2"
  [[ -x $1/bin/python && -f $stamp && $(<"$stamp") == "$(_fingerprint "$1")" ]]
}

# Runs in a subshell of its own, for the same reason.
_fill_venv() {
  local dir=$1 extras=$2
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  _make_venv "$dir" "$log" || return 1
  say "Installing the project and what it needs into $dir (a minute or two the first time)"
  rm -f "$dir/.imagepusher-installed-$extras"
  if ! "$project_root/deploy/install" --editable "$dir/bin/python" ${extras:+"$extras"} </dev/null >"$log" 2>&1 9<&-; then
    say "pip failed; its log ends:"
    tail -n 40 "$log" >&2
    return 1
  fi
  _fingerprint "$dir" >"$dir/.imagepusher-installed-$extras"
  # With extras the project is there without them too.
  if [[ -n $extras ]]; then cp "$dir/.imagepusher-installed-$extras" "$dir/.imagepusher-installed-"; fi
}

# Makes the environment anew if its interpreter or the project moved. The mark `.imagepusher` tells that a folder is
# this script's own, which is the only reason to empty it.
_make_venv() {
  local dir=$1 log=$2 mark="$1/.imagepusher" python version
  if [[ -f $mark && $(<"$mark") == "$(_identity "$dir")" ]]; then return 0; fi
  if [[ ! -f $mark && -f $dir/pyvenv.cfg ]]; then
    "$dir/bin/python" -m pip --version >/dev/null 2>&1 && return 0
    say "$dir is a virtual environment without pip, made by something else; remove it, or set IMAGEPUSHER_VENV."
    return 1
  fi
  if [[ ! -f $mark && -e $dir && -n $(ls -A "$dir") ]]; then
    say "$dir holds something that is no virtual environment; set IMAGEPUSHER_VENV to another folder."
    return 1
  fi
  python=$(find_python) || return 1
  version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    need_packages "python$version-venv" || return 1
  fi
  mkdir -p "$dir" && : >"$mark" || return 1
  find "$dir" -mindepth 1 -maxdepth 1 ! -name .imagepusher -exec rm -rf {} +
  if ! "$python" -m venv "$dir" </dev/null >"$log" 2>&1; then
    say "$python -m venv failed; its log ends:"
    tail -n 40 "$log" >&2
    return 1
  fi
  _identity "$dir" >"$mark"
}
