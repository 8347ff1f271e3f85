#!/usr/bin/env bash
# Builds the sidecar image as a release has it: image.sh publish NAME | compare
#
# publish builds it for amd64 and arm64 and pushes it as NAME:VERSION, with an SBOM and provenance, and prints its digest;
# it needs a builder of BuildKit 0.13 or newer. compare builds it twice without any cache, and fails if the two differ: by
# digest where the builder takes SOURCE_DATE_EPOCH, by layers and settings where it does not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(scripts/release.py version)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH DOCKER_BUILDKIT=1
build=(docker buildx build --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)")
[ -z "${BASE_IMAGE:-}" ] || build+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")

publish() {
  local about
  about=$(mktemp)
  "${build[@]}" --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max --metadata-file "$about" \
    --output "type=image,name=$1:$version,push=true,rewrite-timestamp=true" . >&2
  python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$about"
  rm -f "$about"
}

# What an image is, but for the moment at which it was built.
about() {
  docker image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}{{json .Config}}' "$1"
}

compare() {
  local number images=() code=0
  for number in 1 2; do
    images+=("litellm-copilot-model-sync:compare-$$-$number")
    "${build[@]}" --no-cache --quiet --load --tag "${images[-1]}" . >/dev/null
  done
  echo "layers:"
  docker image inspect --format '{{range .RootFS.Layers}}  {{println .}}{{end}}' "${images[0]}"
  if ! diff <(about "${images[0]}") <(about "${images[1]}"); then
    echo "image.sh: two builds of one commit differ" >&2
    code=1
  elif [ "$(docker image inspect --format '{{.Id}}' "${images[0]}")" = "$(docker image inspect --format '{{.Id}}' "${images[1]}")" ]; then
    echo "the same digest"
  else
    echo "the same layers and settings; this builder writes the time of the build beside them"
  fi
  docker image rm "${images[@]}" >/dev/null
  return "$code"
}

case ${1:-} in
  publish) publish "${2:?publish needs a name, like ghcr.io/owner/name}" ;;
  compare) compare ;;
  *)
    echo "usage: scripts/image.sh publish NAME | compare" >&2
    exit 2
    ;;
esac
