/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/state_engine.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "vm/engine/cpu_state.h"
#include "vm/engine/engine.h"
#include "vm/engine/irqchip_state.h"
#include "vm/process/vcpus.h"

static int get_cpu(const struct engine *engine, struct engine_vcpu *vcpu, void *ctx)
{
    return engine->vcpu_get_state(vcpu, ctx);
}

static int set_cpu(const struct engine *engine, struct engine_vcpu *vcpu, void *ctx)
{
    return engine->vcpu_set_state(vcpu, ctx);
}

int state_put_engine(const struct state_engine *m, struct buf *out, struct err *err)
{
    cleanup_free struct cpu_state *cpu = calloc(1, sizeof *cpu);
    cleanup_free struct irqchip_state *chips = calloc(1, sizeof *chips);
    int rc = cpu && chips ? 0 : -ENOMEM;

    for (unsigned i = 0; i < m->cpus && rc == 0; i++)
        if ((rc = vcpus_call(m->vcpus, i, get_cpu, cpu)) == 0)
            state_put_section(out, "cpu", &cpu_state_table, cpu);
    if (rc == 0)
        rc = m->engine->irqchip_get(m->vm, chips);
    if (rc == 0)
        state_put_section(out, "interrupt-controllers", &irqchip_state_table, chips);
    return rc < 0 ? err_sys(err, rc, "the engine %s can not say its state", m->engine->name) : 0;
}

int state_take_engine(const struct state_engine *m, struct state_records *r, struct err *err)
{
    cleanup_free struct cpu_state *cpu = calloc(1, sizeof *cpu);
    cleanup_free struct irqchip_state *chips = calloc(1, sizeof *chips);
    int rc = cpu && chips ? 0 : err_sys(err, -ENOMEM, "state");

    for (unsigned i = 0; i < m->cpus && rc == 0; i++) {
        rc = state_take_section(r, "cpu", &cpu_state_table, cpu, err);
        if (rc == 0 && (rc = vcpus_call(m->vcpus, i, set_cpu, cpu)) < 0)
            (void)err_sys(err, rc, "the engine %s refuses the state of processor %u",
                          m->engine->name, i);
    }
    if (rc == 0)
        rc = state_take_section(r, "interrupt-controllers", &irqchip_state_table, chips, err);
    if (rc == 0 && (rc = m->engine->irqchip_set(m->vm, chips)) < 0)
        (void)err_sys(err, rc, "the engine %s refuses the interrupt controllers", m->engine->name);
    return rc;
}
