#!/usr/bin/env bash
# Sees to it that the image which deploy/Dockerfile builds in is there: pulled, or, where no image registry can be
# reached, made of this machine: Debian from its package mirror, and the Rust toolchain and the certificates that are
# trusted here. The stand-in has the same tag, so that the same Dockerfile builds.
#
#   deploy/base-images.sh [IMAGE]      # default: rust:1-slim-bookworm
#   FORCE=1 deploy/base-images.sh      # makes the stand-in even if the image is there or could be pulled
#
# Needs a Docker daemon; for the stand-in also root, debootstrap and Rust.
set -euo pipefail

image=${1:-rust:1-slim-bookworm}
suite=bookworm

if [ -z "${FORCE:-}" ]; then
  if docker image inspect "$image" >/dev/null 2>&1; then
    echo "$image is there"
    exit 0
  fi
  # A registry that is filtered may never answer.
  if timeout 120 docker pull --quiet "$image" 2>/dev/null; then
    exit 0
  fi
fi

fail() { echo "error: $1" >&2; exit 1; }
echo "no image registry gives $image: making a stand-in of this machine"
[ "$(id -u)" = 0 ] || fail "debootstrap needs root"
command -v debootstrap >/dev/null || fail "debootstrap is not installed"
command -v rustc >/dev/null || fail "rustc is not on the PATH"
certificates=/etc/ssl/certs/ca-certificates.crt
[ -r "$certificates" ] || fail "$certificates is not there"
sysroot=$(rustc --print sysroot)

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
# What the slim image has: a C compiler and linker, the C library to link against, certificates.
debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev "$suite" "$root" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log" >&2; fail "debootstrap failed, see $root.log"; }
rm -f "$root.log"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}
# The packages that the build fetches come by the way that this machine trusts.
cp "$certificates" "$root$certificates"
# Compiler, cargo and standard library; no documentation, no sources.
mkdir -p "$root/usr/local/lib/rustlib"
cp "$sysroot"/bin/{cargo,rustc} "$root/usr/local/bin/"
cp "$sysroot"/lib/lib*.so* "$root/usr/local/lib/"
host=$(rustc -vV | sed -n 's/^host: //p')
cp -r "$sysroot/lib/rustlib/$host" "$root/usr/local/lib/rustlib/"
chroot "$root" ldconfig
chroot "$root" rustc --version >/dev/null || fail "the toolchain does not run in $suite"

tar -C "$root" --numeric-owner -c . | docker import \
  --change 'ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
  --change 'CMD ["bash"]' \
  --change 'LABEL muster.stand-in="made by deploy/base-images.sh"' \
  --message "stand-in made by deploy/base-images.sh" - "$image" >/dev/null
echo "$image is a stand-in with $(rustc --version)"
