// SPDX-License-Identifier: Apache-2.0
// The host's own settings.
import { href } from "../shell/route";
import { Icon } from "../ui/icon";
import { Tabs } from "../ui/tabs";
import { AdvancedSettings } from "../manage/advanced";
import { Autostart } from "../manage/autostart";
import { Certificate } from "../manage/certificate";
import { Permissions } from "../manage/permissions";
import { Roles } from "../manage/roles";
import { Services } from "../manage/services";
import { Users } from "../manage/users";

const tabs = [["users", "Users"], ["roles", "Roles"], ["permissions", "Permissions"], ["services", "Services"], ["autostart", "Autostart"],
  ["certificate", "Certificate"], ["advanced", "Advanced settings"]] as const;

function Body({ tab }: { tab: string }) {
  switch (tab) {
    case "roles": return <Roles />;
    case "permissions": return <Permissions />;
    case "services": return <Services />;
    case "autostart": return <Autostart />;
    case "certificate": return <Certificate />;
    case "advanced": return <AdvancedSettings />;
    default: return <Users />;
  }
}

export function ManagePage({ tab }: { tab: string }) {
  return (
    <>
      <div class="page-head"><h1><Icon name="settings" />Manage</h1></div>
      <Tabs label="Manage" tabs={tabs} current={tab} href={(t) => href("host", "manage", t)} />
      <Body tab={tab} />
    </>
  );
}
