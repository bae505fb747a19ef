#!/bin/sh
# Removes every trace of the sandbox in the current folder: processes, containers, mounts, cgroups, device nodes, files.
# Run by dispose(), and by the sandbox's janitor when the process that owned it has died.
dir=$PWD
case $dir in */gpuctl-sim-??????) ;; *) exit 2 ;; esac
[ -f .sandbox ] || exit 0

# Lists the pids whose arguments name this folder: dockerd, containerd, shims, gpuctl. The pattern is read from a file, so
# that this very search does not find itself.
ours() {
	grep -laF -f .sandbox /proc/[0-9]*/cmdline 2>/dev/null | sed -n 's|^/proc/\([0-9]*\)/cmdline$|\1|p'
}

# Lists the tracked pids that are still the processes that were tracked, and are not zombies.
tracked() {
	while read -r pid ticks; do
		stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
		# shellcheck disable=SC2086
		set -- ${stat##*) }
		[ "$1" = Z ] && continue
		shift 19
		[ "$1" = "$ticks" ] && echo "$pid"
	done <.pids
}

container_groups() {
	{ cat .containers; ls -1 gen*/data/containers 2>/dev/null | grep -E '^[0-9a-f]{64}$'; } | sort -u | while read -r id; do
		ls -d /sys/fs/cgroup/docker/"$id" /sys/fs/cgroup/*/docker/"$id" 2>/dev/null
	done
}

# Nothing frozen can die.
thaw() {
	while read -r group; do
		[ -e "$group/freezer.state" ] && echo THAWED >"$group/freezer.state"
		[ -e "$group/cgroup.freeze" ] && echo 0 >"$group/cgroup.freeze"
	done 2>/dev/null
}

members() {
	while read -r group; do cat "$group/cgroup.procs" 2>/dev/null; done
}

groups=$(container_groups)
cat .cgroups | thaw
echo "$groups" | thaw
round=0
while [ $round -lt 60 ]; do
	# The engine first: it would start again what has a restart policy.
	pids="$(ours) $(tracked) $(echo "$groups" | members)"
	[ -z "$(echo "$pids" | tr -d ' \n')" ] && break
	# shellcheck disable=SC2086
	kill -KILL $pids 2>/dev/null
	sleep 0.05
	round=$((round + 1))
done

while read -r _ mount _; do
	case $mount in "$dir"/*) umount -l "$mount" 2>/dev/null ;; esac
done </proc/self/mounts

groups="$groups
$(sort -r .cgroups)"
round=0
while [ $round -lt 20 ]; do
	left=
	for group in $groups; do
		[ -d "$group" ] || continue
		# Somebody else may use a common parent by now.
		rmdir "$group" 2>/dev/null || { [ -n "$(cat "$group/cgroup.procs" 2>/dev/null)" ] && left=yes; }
	done
	[ -z "$left" ] && break
	sleep 0.05
	round=$((round + 1))
done

while read -r node; do rm -f "$node"; done <.nodes
cd / && chattr -R -i "$dir" 2>/dev/null
rm -rf "$dir"
