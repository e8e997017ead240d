/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the SATA controller: Serial ATA AHCI 1.3.1, sections 3 and 4. */
#pragma once

#include "base/range.h"

enum { AHCI_BAR = 5, AHCI_BAR_SIZE = 4096, AHCI_SLOTS = 32 };

/* 3.1: of the controller */
enum {
    AHCI_CAP = 0x00,
    AHCI_GHC = 0x04,
    AHCI_IS = 0x08,
    AHCI_PI = 0x0c,
    AHCI_VS = 0x10,
    AHCI_PORT = 0x100, /* of port 0; each has AHCI_PORT_SIZE */
    AHCI_PORT_SIZE = 0x80,
};
#define CAP_S64A BIT(31) /* 64-bit addresses */
#define CAP_SNCQ BIT(30) /* native command queueing */
#define CAP_SCLO BIT(24) /* PxCMD.CLO */
#define CAP_GEN3 (3u << 20)
#define CAP_SAM  BIT(18) /* AHCI only */
#define GHC_HR   BIT(0)
#define GHC_IE   BIT(1)
#define GHC_AE   BIT(31)
enum { AHCI_VERSION = 0x00010301 };

/* 3.3: of a port */
enum {
    PORT_CLB = 0x00,
    PORT_CLBU = 0x04,
    PORT_FB = 0x08,
    PORT_FBU = 0x0c,
    PORT_IS = 0x10,
    PORT_IE = 0x14,
    PORT_CMD = 0x18,
    PORT_TFD = 0x20,
    PORT_SIG = 0x24,
    PORT_SSTS = 0x28,
    PORT_SCTL = 0x2c,
    PORT_SERR = 0x30,
    PORT_SACT = 0x34,
    PORT_CI = 0x38,
};
#define IS_DHRS BIT(0)  /* device to host register FIS */
#define IS_PSS  BIT(1)  /* PIO setup FIS */
#define IS_SDBS BIT(3)  /* set device bits FIS */
#define IS_PCS  BIT(6)  /* PxSERR.DIAG.X */
#define IS_PRCS BIT(22) /* PxSERR.DIAG.N */
#define IS_OFS  BIT(24) /* more data than memory for it */
#define IS_IFS  BIT(27)
#define IS_HBFS BIT(29) /* memory that is none */
#define IS_TFES BIT(30)
#define IS_MASK UINT32_C(0xfdc000ff)

#define CMD_ST       BIT(0)
#define CMD_SUD      BIT(1)
#define CMD_POD      BIT(2)
#define CMD_CLO      BIT(3)
#define CMD_FRE      BIT(4)
#define CMD_CCS(n)   ((uint32_t)(n) << 8)
#define CMD_CCS_MASK CMD_CCS(31)
#define CMD_FR       BIT(14)
#define CMD_CR       BIT(15)
#define CMD_ATAPI    BIT(24)
#define CMD_DLAE     BIT(25)
#define CMD_ALPE     BIT(26)
#define CMD_WRITABLE (CMD_ST | CMD_FRE | CMD_ATAPI | CMD_DLAE | CMD_ALPE)

enum { SSTS_PRESENT = 0x103 /* device there, link active; the speed stands in bits 4 to 7 */ };
enum { SCTL_DET = 15, SCTL_DET_INIT = 1, SCTL_DET_OFF = 4, SCTL_MASK = 0xfff, LINK_GEN_MAX = 3 };
#define SERR_DIAG_N BIT(16)
#define SERR_DIAG_X BIT(26)
enum { SIGNATURE_DISK = 0x00000101, SIGNATURE_PACKET = (int)0xeb140101 };

/* 4.2: in guest memory */
enum {
    HEADER_LEN = 32, /* of a slot in the command list */
    HEADER_PRDBC = 4,
    HEADER_TABLE = 8,
    TABLE_PACKET = 0x40,
    TABLE_PRDT = 0x80,
    TABLE_LEN = 0x50, /* up to the packet's end */
    PRD_LEN = 16,
    FIS_PIO_SETUP = 0x20, /* where received FISes lie */
    FIS_D2H = 0x40,
    FIS_DEVICE_BITS = 0x58,
};

/* FIS types: Serial ATA 3.x, 10.5 */
enum { FIS_TYPE_H2D = 0x27, FIS_TYPE_D2H = 0x34, FIS_TYPE_PIO = 0x5f, FIS_TYPE_BITS = 0xa1 };
enum {
    FIS_COMMAND = 0x80 /* byte 1 of a H2D FIS: a command, not a control */,
    FIS_INTERRUPT = 0x40
};
enum { CONTROL_SRST = 4 };
