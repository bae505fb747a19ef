#!/bin/sh
# Installs what is missing to run gpuctl from a checkout (`setup.sh runtime`) or to run its tests (`setup.sh test`).
# Says nothing and changes nothing where all is there. Run as root on Debian or Ubuntu it installs packages with apt-get;
# elsewhere it names what is missing and exits 1.
set -u

mode=${1:-runtime}
case $mode in
runtime | test) ;;
*) echo "usage: $0 runtime|test" >&2; exit 2 ;;
esac
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1

have() { command -v "$1" >/dev/null 2>&1; }

# A name that ldconfig knows, or a file in one of the usual places.
have_libatomic() {
	PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q 'libatomic\.so\.1' || ls /usr/lib/*/libatomic.so.1 /usr/lib64/libatomic.so.1 >/dev/null 2>&1
}

# Debian's package of each thing that is missing, one a line.
missing_packages() {
	have_libatomic || echo libatomic1
	have flock && have unshare && have setsid && have mknod || echo util-linux
	[ "$mode" = test ] || return 0
	PATH=$PATH:/usr/sbin:/sbin
	have dockerd || echo docker.io
	# A busybox that needs no libraries: it is the only thing inside the test image.
	is_static /bin/busybox || echo busybox-static
	have ps || echo procps
	have podman || echo podman
	# The schedule is judged by real cron on a fast clock, and by a systemd that is booted beside this one.
	have cron || echo cron
	have faketime || echo faketime
	have systemd-analyze || echo systemd
	have systemd-nspawn || echo systemd-container
	# What the package is made and judged with, a root to install it in, and the shells that it completes for.
	have xz || echo xz-utils
	have lintian || echo lintian
	have debootstrap || echo debootstrap
	have groff || echo groff
	have zsh || echo zsh
	have fish || echo fish
}

is_static() {
	[ -x "$1" ] && ! LC_ALL=C ldd "$1" 2>/dev/null | grep -q '=>'
}

install_packages() {
	if [ "$(id -u)" != 0 ] || ! have apt-get; then
		{
			echo 'gpuctl: missing on this machine (names of Debian packages):' $1
			if have apt-get; then echo "  as root: apt-get install --no-install-recommends" $1; fi
		} >&2
		return 1
	fi
	log=$(mktemp) || return 1
	# shellcheck disable=SC2086
	if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $1; } </dev/null >"$log" 2>&1; then
		rm -f "$log"
		return 0
	fi
	tail -n 20 "$log" >&2
	rm -f "$log"
	echo "gpuctl: apt-get could not install:" $1 >&2
	return 1
}

packages=$(missing_packages)
if [ -n "$packages" ]; then
	install_packages "$(echo $packages)" || exit 1
	packages=$(missing_packages)
	if [ -n "$packages" ]; then
		echo 'gpuctl: still missing after the installation:' $packages >&2
		exit 1
	fi
fi

# Any npm will do: it only unpacks exact versions, and a warning about its own Node is no news.
installed=node_modules/.package-lock.json
if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
	if ! have npm; then
		echo 'gpuctl: npm is missing (it comes with Node.js, any version from 18)' >&2
		exit 1
	fi
	# Not with the Node.js of the very folder that npm is about to replace, which scripts have first on their PATH.
	path=$(echo "$PATH" | tr ':' '\n' | grep -v 'node_modules/\.bin/*$' | paste -sd : -)
	log=$(mktemp) || exit 1
	if ! PATH=$path npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >"$log" 2>&1; then
		head -n 20 "$log" >&2
		rm -f "$log"
		echo 'gpuctl: npm could not install the packages of package-lock.json' >&2
		exit 1
	fi
	rm -f "$log"
	# Whatever times npm left: this one decides whether the next call installs again.
	touch "$installed"
fi

if ! version=$(node_modules/.bin/node --version 2>&1); then
	echo "gpuctl: the Node.js that was installed does not run here: $version" >&2
	exit 1
fi
