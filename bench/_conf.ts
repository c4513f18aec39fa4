import { prepare, runCase } from '../packages/conformance/src/run.ts';
import { type Case } from '../packages/conformance/src/case.ts';
import { memorySetup } from '../packages/conformance/test/memory-setup.ts';
import { batching } from '../packages/conformance/src/chapters/batching.ts';
import { batchingPull } from '../packages/conformance/src/chapters/batching-pull.ts';
import { batchingWindow } from '../packages/conformance/src/chapters/batching-window.ts';
import { delivery } from '../packages/conformance/src/chapters/delivery.ts';
import { deliveryProcesses } from '../packages/conformance/src/chapters/delivery-processes.ts';
import { faults } from '../packages/conformance/src/chapters/faults.ts';
import { faultsProcesses } from '../packages/conformance/src/chapters/faults-processes.ts';
import { faultsRaw } from '../packages/conformance/src/chapters/faults-raw.ts';
import { faultsServer } from '../packages/conformance/src/chapters/faults-server.ts';
import { lifecycle } from '../packages/conformance/src/chapters/lifecycle.ts';
import { lifecycleConnect } from '../packages/conformance/src/chapters/lifecycle-connect.ts';
import { lifecycleInput } from '../packages/conformance/src/chapters/lifecycle-input.ts';
import { lifecycleSubscriptions } from '../packages/conformance/src/chapters/lifecycle-subscriptions.ts';
import { provisioning } from '../packages/conformance/src/chapters/provisioning.ts';
import { requests } from '../packages/conformance/src/chapters/requests.ts';
import { requestsMany } from '../packages/conformance/src/chapters/requests-many.ts';
import { resilience } from '../packages/conformance/src/chapters/resilience.ts';
import { resilienceFilters } from '../packages/conformance/src/chapters/resilience-filters.ts';
import { resilienceMiddleware } from '../packages/conformance/src/chapters/resilience-middleware.ts';
import { time } from '../packages/conformance/src/chapters/time.ts';
import { timeExpiry } from '../packages/conformance/src/chapters/time-expiry.ts';
import { timePriority } from '../packages/conformance/src/chapters/time-priority.ts';
const all: readonly Case[] = [...time, ...timeExpiry, ...timePriority, ...requests, ...requestsMany, ...delivery, ...deliveryProcesses, ...batching, ...batchingWindow, ...batchingPull, ...resilience, ...resilienceMiddleware, ...resilienceFilters, ...lifecycle, ...lifecycleSubscriptions, ...lifecycleConnect, ...lifecycleInput, ...provisioning, ...faults, ...faultsRaw, ...faultsServer, ...faultsProcesses];
const only = (process.argv[2] ?? '').split(',');
const conc = Number(process.argv[3] ?? 16);
const override = JSON.parse(process.argv[4] ?? '{}');
process.on('unhandledRejection', (e) => console.log('UNHANDLED', e));
const base = memorySetup();
const extra = process.argv[5] === 'all';
const wrap = (s: any): any => ({ ...s, create: (o: any) => s.create({ ...override, ...o }), isolate: s.isolate && (() => wrap(s.isolate())),
  server: extra ? { ...s.server,
    restart: async () => { const back = await s.server.cut(); await new Promise((r) => setTimeout(r, 100)); await back(); },
    pause: async () => s.server.cut(), blackhole: async () => s.server.cut(), slow: async () => async () => {},
    cluster: { create: () => s.create(override), stopOne: async () => async () => {} },
    restricted: { create: () => s.create(override) },
    credentials: { createWrong: () => s.create(override), rotate: async () => {} },
    processes: { broker: 'memory', url: 'memory://child' },
  } : s.server });
const ids = new Set(all.map((c) => c.id)); 
const setup = wrap({ ...base, additional: all });
const prepared = [...new Map((await prepare(setup)).filter((c) => ids.has(c.id) && only.some((o) => c.id.includes(o))).map((c) => [c.id, c])).values()];
const start = performance.now(); const res: any[] = []; const queue = [...prepared];
await Promise.all(Array.from({ length: conc }, async () => { for (let n = queue.shift(); n; n = queue.shift()) { const r = await runCase(n); res.push(r); if (r.outcome === 'failed') console.log('FAILED', r.id, Math.round(r.duration), '\n   ', r.reason?.split('\n').filter((l: string) => !l.includes('node:internal')).slice(0, 14).join('\n    ')); else if (r.duration > 1500 || process.argv[2]) console.log(r.outcome, r.id, Math.round(r.duration), JSON.stringify(r.notes ?? ''), r.reason ?? ''); } }));
const by: any = {}; for (const r of res) by[r.outcome] = (by[r.outcome] ?? 0) + 1;
console.log(by, 'of', all.length, Math.round(performance.now() - start), 'ms');
setTimeout(() => { console.log('still alive', process.getActiveResourcesInfo()); process.exit(); }, 3000).unref();
