#!/bin/sh
# Compiles every module under the folder $1 for Lambda's CPython 3.13, in place. Lambda cannot write into a layer, so what is
# not compiled here is compiled again at every cold start.
# $2 is where the folder will be on Lambda, for tracebacks (default /opt/python).
# The interpreter: $PYTHON313, else one that uv finds, else one of pyenv's, else one that uv may download. Without any, the
# build goes on with a warning. unchecked-hash: a zip keeps no useful file times for the interpreter to compare.
set -eu
folder=$1
uv=${UV:-uv}

is_cpython_313() {
    test -n "${1:-}" && test "$("$1" -c 'import sys; print(sys.implementation.cache_tag)' 2>/dev/null)" = cpython-313
}

candidates() {
    echo "${PYTHON313:-}"
    UV_PYTHON_DOWNLOADS=never "$uv" python find 3.13 2>/dev/null || true
    # pyenv's shims only work for the version in use; its folders always do.
    for python in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13; do echo "$python"; done
}

found=$(candidates | while IFS= read -r python; do
    if is_cpython_313 "$python"; then echo "$python"; break; fi
done)
if test -z "$found" && "$uv" python install --quiet 3.13 >/dev/null 2>&1; then
    python=$(UV_PYTHON_DOWNLOADS=never "$uv" python find 3.13 2>/dev/null || true)
    if is_cpython_313 "$python"; then found=$python; fi
fi
if test -z "$found"; then
    case ${2:-} in /var/task) what=function ;; *) what=layer ;; esac
    echo "warning: no CPython 3.13 here (set PYTHON313): $what not precompiled: cold start about +35 %" >&2
    exit 0
fi
# -s: tracebacks name the path at run time, not the one of this machine.
"$found" -m compileall -q -j 1 --invalidation-mode unchecked-hash -s "$folder" -p "${2:-/opt/python}" "$folder"
