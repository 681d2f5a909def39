#!/usr/bin/env bash
# tests/fuzz.sh [COUNT] [SEED]: so many spoiled frames (default 10 million) for the RPC library's server and client, whole connections
# without sockets; then a tenth as many spoiled messages of joining, manifests of bundles, messages about channels,
# and arguments and results of all services. A failure prints its input as hex; keep it as a line of
# tests/GlooX.Rpc.Tests/Protocol/Fuzzing/Findings.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
export GLOOX_FUZZ_COUNT=${1:-10000000} GLOOX_FUZZ_SEED=${2:-$((RANDOM * 32768 + RANDOM))}
export GLOOX_FUZZ_LAST=$(mktemp)
trap 'rm -f "$GLOOX_FUZZ_LAST"' EXIT

dotnet build tests/GlooX.Rpc.Tests -c Release -v q
echo "seed $GLOOX_FUZZ_SEED"
code=0
# Memory without bounds is a failure too: the heap may have 1 GiB.
time DOTNET_GCHeapHardLimit=0x40000000 dotnet run --project tests/GlooX.Rpc.Tests -c Release --no-build -- \
    -explicit only -class 'GlooX.Rpc.Tests.Protocol.Fuzzing.FuzzTests' || code=$?

# Killed by a signal: the process could print nothing, but has left the inputs at hand, one in each slot of 4 MiB.
if [ "$code" -gt 1 ]; then
    echo "the process ended with code $code, seed $GLOOX_FUZZ_SEED; one of these did it:"
    for slot in 0 1 2 3 4 5; do
        at=$((slot * 4 * 1024 * 1024))
        length=$(od -An -td4 -j $((at + 4)) -N 4 "$GLOOX_FUZZ_LAST" | tr -d ' ')
        [ "$(od -An -tu1 -j $at -N 1 "$GLOOX_FUZZ_LAST" | tr -d ' ')" = 1 ] && side=server || side=client
        echo "$side $(od -An -tx1 -v -j $((at + 8)) -N "$length" "$GLOOX_FUZZ_LAST" | tr -d ' \n')"
    done
fi
[ "$code" = 0 ] || exit $code

export GLOOX_FUZZ_BYTES=$((GLOOX_FUZZ_COUNT / 10))
for tests in GlooX.Rpc.Tests:Protocol.Fuzzing.JoinFuzzTests GlooX.Tests:MessageFuzzTests; do
    project=${tests%%:*}
    dotnet build "tests/$project" -c Release -v q
    DOTNET_GCHeapHardLimit=0x40000000 dotnet run --project "tests/$project" -c Release --no-build -- -class "$project.${tests#*:}"
done
