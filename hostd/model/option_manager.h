/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that are numbers: HostAgentSettings and ha-adv-options are two doors to one list
 * (option_manager.c). */
#pragma once

struct hostd;

/* Makes what is set (model/host_config.h) what the parts of hostd do. */
void options_apply(struct hostd *hostd);
