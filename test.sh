#!/usr/bin/env bash
# Passes all tests on a fresh machine that has the .NET 10 SDK: installs what they need beyond it, builds, runs.
set -euo pipefail
cd "$(dirname "$0")"

need() { # need COMMAND PACKAGE: a Debian package, when its command is missing
    command -v "$1" >/dev/null 2>&1 && return
    echo "installing $2 (for $1)"
    local sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq && $sudo apt-get install -y -qq "$2"
}
need openssl openssl

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
dotnet build GlooX.slnx -c Release -v q
dotnet test --solution GlooX.slnx -c Release --no-build "$@"
