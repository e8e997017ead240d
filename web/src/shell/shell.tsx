// SPDX-License-Identifier: Apache-2.0
// The frame around every page: who is logged in, the navigator, the tasks.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button, Loading } from "../ui/button";
import { Sayings } from "../ui/alert";
import { closeAllDialogs, dialogOpen, Dialogs, Over } from "../ui/dialog";
import { Icon, type IconName } from "../ui/icon";
import { ContextMenu, Menu } from "../ui/menu";
import { loaded, run, vms, datastores, networks, type VmRecord } from "../vim/inventory";
import { powerOf } from "../vm/state";
import { connected } from "../vim/live";
import { logout, user } from "../vim/session";
import { transfers } from "../vim/upload";
import { Login } from "../pages/login";
import { ConsoleWindow } from "../pages/vm_console";
import { changeOwnPassword } from "../manage/users";
import { openAbout, openHelp } from "./about";
import { Mark, release } from "./brand";
import { Page } from "./page";
import { Search } from "./search";
import { recentVms } from "./recent";
import { Tasks } from "./tasks";
import { Transfers } from "./transfers";
import { href, route } from "./route";
import { dark, toggleTheme } from "./theme";

export function Shell() {
  const whose = useRef<string>(undefined), name = user.value?.userName;
  useEffect(() => {
    if (name && whose.current && whose.current !== name) closeAllDialogs(), transfers.value.forEach((t) => t.cancel());
    whose.current = name ?? whose.current;
  }, [name]);
  if (user.value === undefined) return <div class="login"><Loading /></div>;
  return (
    <>
      {user.value !== null ? <Frame /> : dialogOpen() ? <Over><Login /></Over> : <Login />}
      <Dialogs />
      <Sayings />
    </>
  );
}

function Frame() {
  const navigator = useSignal(false);
  useEffect(() => {
    const abort = new AbortController();
    void run(abort.signal);
    return () => abort.abort();
  }, []);
  useEffect(() => void (navigator.value = false), [route.value]);
  useEffect(() => document.querySelector("main")?.scrollTo(0, 0), [route.value.join("/")]);

  if (route.value[0] === "console") return loaded.value ? <ConsoleWindow id={route.value[1] ?? ""} serial={route.value[2] === "serial"} /> : <Loading />;
  return (
    <div class="shell">
      <header>
        <span class="only-narrow"><Button kind="plain" icon="menu" label="Navigator" onClick={() => (navigator.value = !navigator.value)} /></span>
        <a class="brand" href={href("host")}><Mark />Socle</a>
        <span class="subtle only-wide">{release()}</span>
        <span class="grow" />
        <Search />
        <Button kind="plain" icon={dark.value ? "sun" : "moon"} label={dark.value ? "Light colours" : "Dark colours"} onClick={toggleTheme} />
        <Menu label="Help" kind="plain" icon="help" actions={[{ text: "Help", icon: "help", run: openHelp }, { text: "About", icon: "info", run: openAbout }]} />
        <Menu label="User" kind="plain" actions={() => [changeOwnPassword(), { text: "Log out", icon: "logout", run: () => void logout() }]}>
          <Icon name="user" /> <span class="only-read-narrow">{user.value?.userName}</span>
        </Menu>
        {!connected.value && <p class="offline" role="status">The host does not answer. Trying again …</p>}
      </header>
      <Navigator open={navigator.value} />
      <main tabIndex={-1}>{loaded.value ? <Page /> : <Loading />}</main>
      <div class="foot"><Transfers /><Tasks /></div>
      <ContextMenu />
    </div>
  );
}

function Navigator({ open }: { open: boolean }) {
  const at = route.value.join("/");
  return (
    <nav class={`pf-v6-c-nav navigator${open ? " open" : ""}`} aria-label="Navigator">
      <ul class="pf-v6-c-nav__list">
        <Item to={["host"]} icon="host" current={at === "host" || at === ""}>Host</Item>
        <Item to={["host", "manage"]} current={at.startsWith("host/manage")}>Manage</Item>
        <Item to={["host", "monitor"]} current={at.startsWith("host/monitor")}>Monitor</Item>
        <Item to={["host", "vms"]} icon="vm" current={at === "host/vms" || (at.startsWith("host/vms/") && !recentVms().some((v) => at.split("/")[2] === v.ref.value))} count={vms().length}>Virtual machines</Item>
        {recentVms().map((v) => (
          <Item key={v.ref.value} to={["host", "vms", v.ref.value]} icon={iconOf(v)} sub current={at === `host/vms/${v.ref.value}` || at.startsWith(`host/vms/${v.ref.value}/`)}>{v.name}</Item>
        ))}
        <Item to={["host", "datastores"]} icon="database" current={at.startsWith("host/datastores")} count={datastores().length}>Storage</Item>
        <Item to={["host", "networking"]} icon="network" current={at.startsWith("host/networking")} count={networks().length}>Networking</Item>
      </ul>
    </nav>
  );
}

const iconOf = (vm: VmRecord): IconName => (powerOf(vm) === "poweredOn" ? "play" : powerOf(vm) === "suspended" ? "pause" : "stop");

function Item({ to, icon, sub, current, count, children }:
  { to: string[]; icon?: IconName; sub?: boolean; current: boolean; count?: number; children: ComponentChildren }) {
  return (
    <li class="pf-v6-c-nav__item">
      <a class={`pf-v6-c-nav__link${sub ? " sub" : ""}${current ? " pf-m-current" : ""}`} href={href(...to)} aria-current={current ? "page" : undefined}>
        {icon ? <span class="pf-v6-c-nav__link-icon"><Icon name={icon} /></span> : <span class="sub-space" />}
        <span class="pf-v6-c-nav__link-text">{children}</span>
        {count !== undefined && <span class="count">{count}</span>}
      </a>
    </li>
  );
}
