# What U-Boot does: of the two halves of the card, it starts the first in BOOT_ORDER that has tries left. RAUC writes these
# variables (its bootloader "uboot"), and a start that went well gives its half its tries back. They are one sector, at 1 MiB.
setenv BOOT_ORDER "A B"
setenv BOOT_A_LEFT 3
setenv BOOT_B_LEFT 3
${devtype} dev ${devnum}
if ${devtype} read ${pxefile_addr_r} 0x800 1; then
	env import -c ${pxefile_addr_r} 0x200 BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT BOOT_TRIAL BOOT_FAULT machine_id
fi
setenv half
for try in ${BOOT_ORDER}; do
	if test "${half}" = ""; then
		if test "${try}" = "A" -a "${BOOT_A_LEFT}" != "0"; then
			setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1
			setenv half A
			setenv number 2
		fi
		if test "${try}" = "B" -a "${BOOT_B_LEFT}" != "0"; then
			setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1
			setenv half B
			setenv number 3
		fi
	fi
done
if test "${half}" = ""; then
	echo "Both halves have failed; all over again"
	setenv BOOT_ORDER "A B"
	setenv BOOT_A_LEFT 3
	setenv BOOT_B_LEFT 3
fi
env export -c -s 0x200 ${pxefile_addr_r} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT BOOT_TRIAL BOOT_FAULT machine_id
${devtype} write ${pxefile_addr_r} 0x800 1
if test "${half}" = ""; then
	reset
fi
echo "Starting half ${half}"
part uuid ${devtype} ${devnum}:${number} root
setenv bootargs "root=PARTUUID=${root} ro rootwait rauc.slot=${half} fsck.repair=yes panic=10 quiet net.ifnames=0 console=tty0 console=${console_line}"
# Kernel arguments of an installer: a file args.txt with a line args=…
if load ${devtype} ${devnum}:1 ${pxefile_addr_r} args.txt; then
	env import -t ${pxefile_addr_r} ${filesize} args
	setenv bootargs "${bootargs} ${args}"
fi
if test -n "${machine_id}"; then
	setenv bootargs "${bootargs} systemd.machine_id=${machine_id}"
fi
# A half that cannot be read gives the turn to the other one.
load ${devtype} ${devnum}:${number} ${kernel_addr_r} /boot/vmlinuz || reset
if test -n "${fdtfile}"; then
	load ${devtype} ${devnum}:${number} ${fdt_addr_r} /boot/dtbs/${fdtfile} || reset
	setenv tree ${fdt_addr_r}
else
	setenv tree ${fdt_addr}
fi
load ${devtype} ${devnum}:${number} ${ramdisk_addr_r} /boot/initrd.img || reset
booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${tree}
reset
