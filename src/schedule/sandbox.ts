/** What a unit does: an acting one ends processes, stops containers and resets devices; a judging one reads the kernel log besides; a sampling one looks. */
export type UnitKind = 'acting' | 'judging' | 'sampling';

/** How admins are told: not at all, by a webhook, or by a program (mail among them), whose needs are not known. */
export type Reach = 'none' | 'network' | 'programs';

/** What no unit of gpuctl needs, whatever the configuration says. */
const CLOSED = `ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native`;

const OPEN = `# Relaxed, each for a reason:
# User=root: the ledger, the lock and the engine's socket are root's.
# PrivateUsers, PrivatePIDs, ProtectProc, ProcSubset are not set: they hide processes, and a compute process that cannot
#   be seen looks like one that is gone.
# PrivateDevices is not set: the driver is reached through /dev/nvidia*, and owners through their terminals.
DevicePolicy=closed
DeviceAllow=char-nvidia* rw
DeviceAllow=char-pts w
DeviceAllow=char-tty w
# MemoryDenyWriteExecute is not set: the JavaScript engine compiles at run time.
# UMask is not narrowed: the events file is for a collector's group, the exports are for everybody.`;

/** A webhook needs the network; a program of the admin's needs what nobody here can know. */
const REACH: Readonly<Record<Reach, string>> = {
  none: `# AF_UNIX: the engine's socket and nvidia-persistenced. No other network.
PrivateNetwork=yes
IPAddressDeny=any
RestrictAddressFamilies=AF_UNIX
NoNewPrivileges=yes
RestrictSUIDSGID=yes`,
  network: `# AF_UNIX: the engine's socket and nvidia-persistenced. AF_INET, AF_INET6: notify.admin names a webhook.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
NoNewPrivileges=yes
RestrictSUIDSGID=yes`,
  programs: `# AF_UNIX: the engine's socket and nvidia-persistenced. AF_INET, AF_INET6, AF_NETLINK: notify.admin names a program.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# NoNewPrivileges and RestrictSUIDSGID are not set: a mail program hands its message to a set-group-id helper.
ReadWritePaths=-/var/spool`,
};

const CLOSED_LOG = 'ProtectKernelLogs=yes';
const ACTING = `# CAP_KILL: orphans are ended. CAP_SYS_PTRACE: whose a process is, and who holds a device, stands in /proc/PID.
# CAP_DAC_OVERRIDE: an owner's terminal is written to. CAP_SYS_ADMIN: the driver asks for it before it resets a device.
# CAP_CHOWN: what gpuctl why shows a user is his file.
CapabilityBoundingSet=CAP_KILL CAP_SYS_PTRACE CAP_DAC_OVERRIDE CAP_SYS_ADMIN CAP_CHOWN`;
const ACTING_CALLS = `SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM`;

const KINDS: Readonly<Record<UnitKind, string>> = {
  acting: `${CLOSED_LOG}\n${ACTING}\n${ACTING_CALLS}`,
  judging: `# ProtectKernelLogs is not set, /dev/kmsg may be read, CAP_SYSLOG is kept: the driver writes its errors (Xid) to the kernel log.
DeviceAllow=/dev/kmsg r
${ACTING} CAP_SYSLOG
${ACTING_CALLS}`,
  sampling: `${CLOSED_LOG}
# CAP_SYS_PTRACE: whose a process is stands in /proc/PID. CAP_DAC_OVERRIDE: an owner's terminal is written to.
# CAP_CHOWN and @chown: what gpuctl why shows a user is his file.
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_OVERRIDE CAP_CHOWN
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=@chown
SystemCallErrorNumber=EPERM`,
};

/** The hardening of a service: as little as its work needs. */
export function renderSandbox(kind: UnitKind, reach: Reach): string {
  return `${CLOSED}\n${OPEN}\n${REACH[reach]}\n${KINDS[kind]}\n`;
}
