// SPDX-License-Identifier: Apache-2.0
// The pictures of buttons, drawn in the colour of the text beside them. They say nothing to a screen reader: the
// text or label of what they stand in does.
import activity from "lucide-static/icons/activity.svg";
import alert from "lucide-static/icons/circle-alert.svg";
import camera from "lucide-static/icons/camera.svg";
import check from "lucide-static/icons/circle-check.svg";
import close from "lucide-static/icons/x.svg";
import columns from "lucide-static/icons/columns-3.svg";
import copy from "lucide-static/icons/copy.svg";
import cpu from "lucide-static/icons/cpu.svg";
import database from "lucide-static/icons/database.svg";
import disc from "lucide-static/icons/disc.svg";
import disk from "lucide-static/icons/hard-drive.svg";
import down from "lucide-static/icons/chevron-down.svg";
import download from "lucide-static/icons/download.svg";
import edit from "lucide-static/icons/pencil.svg";
import file from "lucide-static/icons/file.svg";
import folder from "lucide-static/icons/folder.svg";
import host from "lucide-static/icons/server.svg";
import help from "lucide-static/icons/circle-question-mark.svg";
import info from "lucide-static/icons/info.svg";
import logout from "lucide-static/icons/log-out.svg";
import memory from "lucide-static/icons/memory-stick.svg";
import menu from "lucide-static/icons/menu.svg";
import moon from "lucide-static/icons/moon.svg";
import more from "lucide-static/icons/ellipsis-vertical.svg";
import lock from "lucide-static/icons/lock.svg";
import network from "lucide-static/icons/network.svg";
import pause from "lucide-static/icons/pause.svg";
import play from "lucide-static/icons/play.svg";
import plus from "lucide-static/icons/plus.svg";
import power from "lucide-static/icons/power.svg";
import reset from "lucide-static/icons/rotate-cw.svg";
import right from "lucide-static/icons/chevron-right.svg";
import search from "lucide-static/icons/search.svg";
import settings from "lucide-static/icons/settings.svg";
import sortdown from "lucide-static/icons/arrow-down.svg";
import sortup from "lucide-static/icons/arrow-up.svg";
import stop from "lucide-static/icons/square.svg";
import sun from "lucide-static/icons/sun.svg";
import terminal from "lucide-static/icons/terminal.svg";
import trash from "lucide-static/icons/trash-2.svg";
import upload from "lucide-static/icons/upload.svg";
import user from "lucide-static/icons/user.svg";
import users from "lucide-static/icons/users.svg";
import vm from "lucide-static/icons/monitor.svg";
import warning from "lucide-static/icons/triangle-alert.svg";

const icons = {
  activity, alert, camera, check, close, columns, copy, cpu, database, disc, disk, down, download, edit, file, folder, help, host, info, logout,
  lock, memory, menu, moon, more, network, pause, play, plus, power, reset, right, search, settings, sortdown, sortup, stop, sun, terminal, trash, upload,
  user, users, vm, warning,
};
export type IconName = keyof typeof icons;

export function Icon({ name, tone }: { name: IconName; tone?: "success" | "danger" | "warning" | "info" | "muted" }) {
  // The text is one of ours, put in by the build.
  return <span class={`icon${tone ? ` icon-${tone}` : ""}`} aria-hidden="true" dangerouslySetInnerHTML={{ __html: icons[name] }} />;
}
