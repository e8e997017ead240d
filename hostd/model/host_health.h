/* SPDX-License-Identifier: Apache-2.0 */
/* HostHealthStatusSystem: the machine's sensors (host/sensor.h) as the API tells them. */
#pragma once

struct arena;
struct vim_HealthSystemRuntime;

struct vim_HealthSystemRuntime *host_health(struct arena *arena);
