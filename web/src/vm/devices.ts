// SPDX-License-Identifier: Apache-2.0
// Devices of a VM as the API's structs: what is there, and changes to it.
import type {
  Description, VirtualCdrom, VirtualController, VirtualDevice, VirtualDeviceConfigSpec, VirtualDisk, VirtualEthernetCard,
} from "../vim/types.gen";

const CARDS = ["VirtualVmxnet3", "VirtualE1000e", "VirtualE1000", "VirtualEthernetCard", "VirtualPCNet32", "VirtualVmxnet2", "VirtualVirtioNet"];

export const isDisk = (d: VirtualDevice): d is VirtualDisk => d._typeName === "VirtualDisk";
export const isCdrom = (d: VirtualDevice): d is VirtualCdrom => d._typeName === "VirtualCdrom";
export const isCard = (d: VirtualDevice): d is VirtualEthernetCard => CARDS.includes(d._typeName ?? "");
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

export const newDisk = (key: number, controllerKey: number, unitNumber: number, gigabytes: number, thin: boolean, datastore: string): Change =>
  add({
    _typeName: "VirtualDisk", key, controllerKey, unitNumber, capacityInKB: gigabytes * 1024 * 1024,
    backing: { _typeName: "VirtualDiskFlatVer2BackingInfo", fileName: `[${datastore}]`, diskMode: "persistent", thinProvisioned: thin },
  }, true);

export const newCdrom = (key: number, controllerKey: number, unitNumber: number, iso: string): Change =>
  add({ _typeName: "VirtualCdrom", key, controllerKey, unitNumber, backing: isoBacking(iso), connectable: connected(true) });

export const isoBacking = (iso: string) =>
  iso ? { _typeName: "VirtualCdromIsoBackingInfo", fileName: iso } : { _typeName: "VirtualCdromRemotePassthroughBackingInfo", deviceName: "", exclusive: false };

export const newCard = (key: number, type: string, network: string): Change =>
  add({ _typeName: type, key, addressType: "generated", backing: networkBacking(network), connectable: connected(true) });

export const networkBacking = (network: string) => ({ _typeName: "VirtualEthernetCardNetworkBackingInfo", deviceName: network });

/** A free place for a disk or a CD: the first controller of a kind with room, or none. */
export function freeUnit(devices: readonly VirtualDevice[], kind: RegExp, units: number): { controllerKey: number; unitNumber: number } | undefined {
  for (const c of devices.filter((d): d is VirtualController => kind.test(d._typeName ?? ""))) {
    const taken = devices.filter((d) => d.controllerKey === c.key).map((d) => d.unitNumber);
    for (let unitNumber = 0; unitNumber < units; unitNumber++)
      if (unitNumber !== 7 && !taken.includes(unitNumber)) return { controllerKey: c.key, unitNumber };
  }
  return undefined;
}
export const SCSI = /SCSI|LsiLogic|BusLogic/;
export const AHCI = /AHCI/;
