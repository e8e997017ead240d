# SPDX-License-Identifier: Apache-2.0
# In the test guest (lab/guest --run): the firmware test suite, in a Debian of its own.
mkdir -p /fw
tar -C /fw -xf /fw.tar && rm /fw.tar
mkdir -p /fw/proc /fw/sys /fw/dev /fw/tmp /fw/run /fw/var/log
for folder in proc sys dev; do mount --bind /$folder /fw/$folder; done
mount -t debugfs debugfs /fw/sys/kernel/debug 2>/dev/null
mount -t efivarfs efivarfs /fw/sys/firmware/efi/efivars 2>/dev/null
chroot /fw /usr/bin/fwts -r /tmp/results.log >/dev/null 2>&1
grep '^FAILED' /fw/tmp/results.log
sed -n '/^Test           |Pass/,$p' /fw/tmp/results.log
echo FWTS-DONE
