/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/guest_os.h"

#include <string.h>
#include <strings.h>

#include "base/range.h"

#define LINUX(id, vmx, name)        \
    {                               \
        id, vmx, name, "linuxGuest" \
    }
#define WINDOWS(id, vmx, name)        \
    {                                 \
        id, vmx, name, "windowsGuest" \
    }
#define OTHER(id, vmx, name)              \
    {                                     \
        id, vmx, name, "otherGuestFamily" \
    }

static const struct guest_os table[] = {
    OTHER("otherGuest64", "other-64", "Other (64-bit)"),
    OTHER("otherGuest", "other", "Other (32-bit)"),
    LINUX("otherLinux64Guest", "otherlinux-64", "Other Linux (64-bit)"),
    LINUX("otherLinuxGuest", "otherlinux", "Other Linux (32-bit)"),
    LINUX("other26xLinux64Guest", "other26xlinux-64", "Other 2.6.x Linux (64-bit)"),
    LINUX("other3xLinux64Guest", "other3xlinux-64", "Other 3.x Linux (64-bit)"),
    LINUX("other4xLinux64Guest", "other4xlinux-64", "Other 4.x Linux (64-bit)"),
    LINUX("other5xLinux64Guest", "other5xlinux-64", "Other 5.x or later Linux (64-bit)"),
    LINUX("other6xLinux64Guest", "other6xlinux-64", "Other 6.x or later Linux (64-bit)"),
    LINUX("debian9_64Guest", "debian9-64", "Debian GNU/Linux 9 (64-bit)"),
    LINUX("debian10_64Guest", "debian10-64", "Debian GNU/Linux 10 (64-bit)"),
    LINUX("debian11_64Guest", "debian11-64", "Debian GNU/Linux 11 (64-bit)"),
    LINUX("debian12_64Guest", "debian12-64", "Debian GNU/Linux 12 (64-bit)"),
    LINUX("ubuntu64Guest", "ubuntu-64", "Ubuntu Linux (64-bit)"),
    LINUX("ubuntuGuest", "ubuntu", "Ubuntu Linux (32-bit)"),
    LINUX("rhel7_64Guest", "rhel7-64", "Red Hat Enterprise Linux 7 (64-bit)"),
    LINUX("rhel8_64Guest", "rhel8-64", "Red Hat Enterprise Linux 8 (64-bit)"),
    LINUX("rhel9_64Guest", "rhel9-64", "Red Hat Enterprise Linux 9 (64-bit)"),
    LINUX("centos7_64Guest", "centos7-64", "CentOS 7 (64-bit)"),
    LINUX("centos8_64Guest", "centos8-64", "CentOS 8 (64-bit)"),
    LINUX("centos64Guest", "centos-64", "CentOS 4/5 (64-bit)"),
    LINUX("rockylinux_64Guest", "rockylinux-64", "Rocky Linux (64-bit)"),
    LINUX("almalinux_64Guest", "almalinux-64", "AlmaLinux (64-bit)"),
    LINUX("sles12_64Guest", "sles12-64", "SUSE Linux Enterprise 12 (64-bit)"),
    LINUX("sles15_64Guest", "sles15-64", "SUSE Linux Enterprise 15 (64-bit)"),
    LINUX("opensuse64Guest", "opensuse-64", "SUSE openSUSE (64-bit)"),
    LINUX("fedora64Guest", "fedora-64", "Red Hat Fedora (64-bit)"),
    LINUX("vmwarePhoton64Guest", "vmware-photon-64", "VMware Photon OS (64-bit)"),
    WINDOWS("windows7_64Guest", "windows7-64", "Microsoft Windows 7 (64-bit)"),
    WINDOWS("windows9_64Guest", "windows9-64", "Microsoft Windows 10 (64-bit)"),
    WINDOWS("windows11_64Guest", "windows11-64", "Microsoft Windows 11 (64-bit)"),
    WINDOWS("windows8Server64Guest", "windows8srv-64", "Microsoft Windows Server 2012 (64-bit)"),
    WINDOWS("windows9Server64Guest", "windows9srv-64", "Microsoft Windows Server 2016 (64-bit)"),
    WINDOWS("windows2019srv_64Guest", "windows2019srv-64",
            "Microsoft Windows Server 2019 (64-bit)"),
    WINDOWS("windows2019srvNext_64Guest", "windows2019srvnext-64",
            "Microsoft Windows Server 2022 (64-bit)"),
    OTHER("freebsd64Guest", "freebsd-64", "FreeBSD Pre-11 versions (64-bit)"),
    OTHER("freebsd12_64Guest", "freebsd12-64", "FreeBSD 12 (64-bit)"),
    OTHER("freebsd13_64Guest", "freebsd13-64", "FreeBSD 13 (64-bit)"),
    OTHER("vmkernel65Guest", "vmkernel65", "VMware ESXi 6.5 or later"),
    OTHER("vmkernel7Guest", "vmkernel7", "VMware ESXi 7.x"),
    OTHER("dosGuest", "dos", "Microsoft MS-DOS"),
};

const struct guest_os *guest_os_next(const struct guest_os *os)
{
    os = os ? os + 1 : table;
    return os < table + ARRAY_SIZE(table) ? os : NULL;
}

const struct guest_os *guest_os_by_id(const char *id)
{
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        if (!strcmp(table[i].id, id))
            return &table[i];
    return NULL;
}

const struct guest_os *guest_os_by_vmx(const char *vmx)
{
    for (unsigned i = 0; vmx && i < ARRAY_SIZE(table); i++)
        if (!strcasecmp(table[i].vmx, vmx))
            return &table[i];
    return &table[1];
}
