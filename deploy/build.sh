#!/usr/bin/env bash
# Builds the images `muster` and `muster-agent` from this checkout.
#
#   deploy/build.sh [TAG]      # default: latest
set -euo pipefail
cd "$(dirname "$0")/.."

tag=${1:-latest}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
for image in muster muster-agent; do
  docker build --quiet --file deploy/Dockerfile --target "$image" --tag "$image:$tag" \
    --build-arg VERSION="$version" --build-arg REVISION="$revision" . >/dev/null
  echo "$image:$tag  $(docker image inspect --format '{{.Size}}' "$image:$tag" | awk '{ printf "%.1f MB", $1 / 1e6 }')"
done
