// SPDX-License-Identifier: Apache-2.0
// Devices of a VM as the API's structs: what is there, and changes to it.
import type {
  Description, VirtualCdrom, VirtualController, VirtualDevice, VirtualDeviceConfigSpec, VirtualDisk, VirtualEthernetCard,
} from "../vim/types.gen";

const CARDS = ["VirtualVmxnet3", "VirtualE1000e", "VirtualE1000", "VirtualEthernetCard", "VirtualPCNet32", "VirtualVmxnet2", "VirtualVirtioNet"];

export const isDisk = (d: VirtualDevice): d is VirtualDisk => d._typeName === "VirtualDisk";
export const isCdrom = (d: VirtualDevice): d is VirtualCdrom => d._typeName === "VirtualCdrom";
export const isCard = (d: VirtualDevice): d is VirtualEthernetCard => CARDS.includes(d._typeName ?? "");
export const isPort = (d: VirtualDevice) => d._typeName === "VirtualSerialPort";
export const labelOf = (d: VirtualDevice) => (d.deviceInfo as Description | undefined)?.label ?? d._typeName ?? "";
export const isoOf = (d: VirtualCdrom) => (d.backing as { fileName?: string } | undefined)?.fileName ?? "";
export const networkOf = (d: VirtualEthernetCard) => (d.backing as { deviceName?: string } | undefined)?.deviceName ?? "";
export const capacityOf = (d: VirtualDisk) => d.capacityInBytes ?? d.capacityInKB * 1024;

type Change = VirtualDeviceConfigSpec;

export const add = (device: object, makeFile = false): Change =>
  ({ _typeName: "VirtualDeviceConfigSpec", operation: "add", ...(makeFile && { fileOperation: "create" }), device: device as VirtualDevice });
export const edit = (device: VirtualDevice, to: object): Change =>
  ({ _typeName: "VirtualDeviceConfigSpec", operation: "edit", device: { ...device, ...to } as VirtualDevice });
export const remove = (device: VirtualDevice, destroyFile = false): Change =>
  ({ _typeName: "VirtualDeviceConfigSpec", operation: "remove", ...(destroyFile && { fileOperation: "destroy" }), device });

export const connected = (on: boolean) =>
  ({ _typeName: "VirtualDeviceConnectInfo", startConnected: on, connected: on, allowGuestControl: true });

/** A disk that is to be made, or one whose file is there. */
export interface NewDisk { size: string; provisioning: "thin" | "thick" | "eager"; mode: string; file: string; existing: boolean }

export const diskSpec = (key: number, controllerKey: number, unitNumber: number, d: NewDisk, datastore: string): Change =>
  add({
    _typeName: "VirtualDisk", key, controllerKey, unitNumber, capacityInKB: d.existing ? 0 : Math.round(Number(d.size) * 1024 * 1024),
    backing: {
      _typeName: "VirtualDiskFlatVer2BackingInfo", fileName: d.existing ? d.file : `[${datastore}]`, diskMode: d.mode,
      ...(!d.existing && { thinProvisioned: d.provisioning === "thin", eagerlyScrub: d.provisioning === "eager" }),
    },
  }, !d.existing);

export const newController = (key: number, type: string, busNumber: number): Change =>
  add({ _typeName: type, key, busNumber, ...(/AHCI|NVME/.test(type) ? {} : { sharedBus: "noSharing" }) });

export const newCdrom = (key: number, controllerKey: number, unitNumber: number, iso: string, on = true): Change =>
  add({ _typeName: "VirtualCdrom", key, controllerKey, unitNumber, backing: isoBacking(iso), connectable: connected(on) });

export const isoBacking = (iso: string) =>
  iso ? { _typeName: "VirtualCdromIsoBackingInfo", fileName: iso } : { _typeName: "VirtualCdromRemotePassthroughBackingInfo", deviceName: "", exclusive: false };

export const newCard = (key: number, type: string, network: string, on = true, address: object = {}): Change =>
  add({ _typeName: type, key, addressType: "generated", backing: networkBacking(network), connectable: connected(on), ...address });

export const networkBacking = (network: string) => ({ _typeName: "VirtualEthernetCardNetworkBackingInfo", deviceName: network });

/** The output of "host" goes to the serial console of this client, and that of the others to a file or pipe. */
export const portBacking = (kind: "host" | "file" | "pipe", target: string) =>
  kind === "file" ? { _typeName: "VirtualSerialPortFileBackingInfo", fileName: target }
  : kind === "pipe" ? { _typeName: "VirtualSerialPortPipeBackingInfo", pipeName: target, endpoint: "server", noRxLoss: false } : undefined;

export const newPort = (key: number, kind: "host" | "file" | "pipe", target: string): Change =>
  add({ _typeName: "VirtualSerialPort", key, yieldOnPoll: true, ...(kind !== "host" && { backing: portBacking(kind, target) }) });

/** How many drives a controller takes; a SCSI controller is itself the seventh. */
const roomOf = (type: string) => (/AHCI/.test(type) ? 30 : /NVME/.test(type) ? 15 : /IDE/.test(type) ? 2 : 16);

/** A free place for a disk or a CD: on the controller with the key `at`, or on the first of a kind with room. */
export function freeUnit(devices: readonly VirtualDevice[], kind: RegExp, at = ""): { controllerKey: number; unitNumber: number } | undefined {
  for (const c of devices.filter((d): d is VirtualController => (at ? String(d.key) === at : kind.test(d._typeName ?? "")))) {
    const taken = devices.filter((d) => d.controllerKey === c.key).map((d) => d.unitNumber), type = c._typeName ?? "";
    for (let unitNumber = 0; unitNumber < roomOf(type); unitNumber++)
      if (!(unitNumber === 7 && SCSI.test(type)) && !taken.includes(unitNumber)) return { controllerKey: c.key, unitNumber };
  }
  return undefined;
}
export const SCSI = /SCSI|LsiLogic|BusLogic/;
export const AHCI = /AHCI/;
export const STORAGE = /SCSI|LsiLogic|BusLogic|AHCI|NVME/;

/** "SCSI 0:3": where a drive is, as .vmx files have it. */
export function placeText(device: VirtualDevice, devices: readonly VirtualDevice[]): string {
  const c = devices.find((d): d is VirtualController => d.key === device.controllerKey), type = c?._typeName ?? "";
  return c ? `${/AHCI/.test(type) ? "SATA" : /NVME/.test(type) ? "NVMe" : /IDE/.test(type) ? "IDE" : "SCSI"} ${c.busNumber}:${device.unitNumber ?? 0}` : "–";
}

export const CONTROLLERS: readonly (readonly [type: string, text: string])[] = [
  ["ParaVirtualSCSIController", "VMware paravirtual SCSI"], ["VirtualLsiLogicController", "LSI Logic parallel"], ["VirtualLsiLogicSASController", "LSI Logic SAS"],
  ["VirtualAHCIController", "SATA (AHCI)"], ["VirtualNVMEController", "NVMe"],
];
export const CARD_TYPES = [["VirtualVmxnet3", "VMXNET3"], ["VirtualE1000e", "E1000E"], ["VirtualE1000", "E1000"]] as const;
export const MODES = [["persistent", "Dependent: snapshots include it"], ["independent_persistent", "Independent: snapshots leave it as it is"]] as const;
export const PROVISIONING = [["thin", "Thin: takes room as it is written to"], ["thick", "Thick: reserved now, zeroed when written to"], ["eager", "Thick: reserved and zeroed now"]] as const;
