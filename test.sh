#!/usr/bin/env bash
# Runs all tests on a fresh machine that has the .NET 10 SDK: installs what they need beyond it, builds, runs.
# With --quick first: leaves out the tests of the category Slow and what only they need. Other arguments go to dotnet test.
set -euo pipefail
cd "$(dirname "$0")"

need() { # need PACKAGE CHECK…: a Debian package, when the check fails
    "${@:2}" >/dev/null 2>&1 && return
    echo "installing $1"
    local sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq && $sudo apt-get install -y -qq "$1"
}
quick=
[ "${1:-}" != --quick ] || { quick=yes; shift; }
need openssl command -v openssl
need python3-msgpack /usr/bin/python3 -c 'import msgpack' # for the client in Python
if [ -z "$quick" ]; then
    need clang sh -c 'command -v clang || command -v gcc' # links what is compiled ahead of time
    need zlib1g-dev test -e /usr/include/zlib.h
    need iproute2 command -v ip # for networks that fail; the tests make them where they run as root
fi

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
dotnet build GlooX.slnx -c Release -v q
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# In a project whose tests are all slow none is left, which is exit code 8.
dotnet test --solution GlooX.slnx -c Release --no-build --timeout 25m ${quick:+--filter-not-trait Category=Slow --ignore-exit-code 8} "$@" | tee "$log" || {
    code=$?
    echo && echo "what failed, once more:" && grep -A 4 '^failed ' "$log"
    exit $code
}
