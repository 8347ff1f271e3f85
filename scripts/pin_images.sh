#!/usr/bin/env bash
# Pins the images of containers that hold a token: pin_images.sh [--check]
#
# Asks the registry which digest each tag has now, and writes `tag@digest` wherever the image is named. Renovate
# (renovate.json) does the same on its own; this is for whoever does not use it, and for the first time. With --check it
# asks nobody, changes nothing, and fails if an image is not pinned. Needs Docker with buildx, and network access.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
files=(Dockerfile docker-compose.yml docker-compose.demo.yml .env.example k8s/base/deployment.yaml)
image='(python|ghcr\.io/berriai/litellm):[A-Za-z0-9_][A-Za-z0-9_.-]*'
digest='sha256:[0-9a-f]{64}'

if [ "${1:-}" = --check ]; then
  if found=$(grep -nE "$image" "${files[@]}" | grep -vE "$image@$digest"); then
    printf 'not pinned by digest (scripts/pin_images.sh does it):\n%s\n' "$found" >&2
    exit 1
  fi
  exit 0
fi

edits=()
mapfile -t names < <(grep -ohE "$image" "${files[@]}" | sort -u)
for name in "${names[@]}"; do
  now=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$name")
  if [[ ! $now =~ ^$digest$ ]]; then
    echo "pin_images.sh: the registry gave no digest for $name" >&2
    exit 1
  fi
  echo "$name@$now"
  edits+=(-e "s#(^|[^A-Za-z0-9_./])${name//./\\.}(@$digest)?([^A-Za-z0-9_.@-]|\$)#\\1$name@$now\\3#g")
done
sed -E -i "${edits[@]}" "${files[@]}"
