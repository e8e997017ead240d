// SPDX-License-Identifier: Apache-2.0
// The host's own settings.
import { href } from "../shell/route";
import { Icon } from "../ui/icon";
import { Tabs } from "../ui/tabs";
import { AdvancedSettings } from "../manage/advanced";
import { Autostart } from "../manage/autostart";
import { Hardware } from "../manage/hardware";
import { Packages } from "../manage/packages";
import { Permissions } from "../manage/permissions";
import { Roles } from "../manage/roles";
import { Security } from "../manage/certificate";
import { Services } from "../manage/services";
import { Time } from "../manage/time";
import { Users } from "../manage/users";

export const manageTabs = [["hardware", "Hardware"], ["services", "Services"], ["time", "Time & date"], ["autostart", "Autostart"], ["advanced", "Advanced settings"],
  ["users", "Users"], ["roles", "Roles"], ["permissions", "Permissions"], ["security", "Security"], ["packages", "Packages & licence"]] as const;

function Body({ tab }: { tab: string }) {
  switch (tab) {
    case "services": return <Services />;
    case "time": return <Time />;
    case "autostart": return <Autostart />;
    case "advanced": return <AdvancedSettings />;
    case "users": return <Users />;
    case "roles": return <Roles />;
    case "permissions": return <Permissions />;
    case "security": return <Security />;
    case "packages": return <Packages />;
    default: return <Hardware />;
  }
}

export function ManagePage({ tab }: { tab: string }) {
  return (
    <>
      <div class="page-head"><h1><Icon name="settings" />Manage</h1></div>
      <Tabs label="Manage" tabs={manageTabs} current={manageTabs.some(([id]) => id === tab) ? tab : "hardware"} href={(t) => href("host", "manage", t)} />
      <Body tab={tab} />
    </>
  );
}
