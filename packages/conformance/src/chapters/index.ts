import type { Case } from '../case.ts';
import { basics } from './basics.ts';
import { basicsBodies } from './basics-bodies.ts';
import { basicsFormats } from './basics-formats.ts';
import { basicsHeaders } from './basics-headers.ts';
import { basicsInput } from './basics-input.ts';
import { basicsPull } from './basics-pull.ts';
import { basicsRaw } from './basics-raw.ts';
import { basicsTraffic } from './basics-traffic.ts';
import { batching } from './batching.ts';
import { batchingReceive } from './batching-receive.ts';
import { batchingStreams } from './batching-streams.ts';
import { batchingWindow } from './batching-window.ts';
import { deadLetters } from './dead-letters.ts';
import { deadLettersCare } from './dead-letters-care.ts';
import { deadLettersReplay } from './dead-letters-replay.ts';
import { deadLettersStore } from './dead-letters-store.ts';
import { delivery } from './delivery.ts';
import { deliveryExactlyOnce } from './delivery-exactly-once.ts';
import { deliveryTransactions } from './delivery-transactions.ts';
import { faults } from './faults.ts';
import { faultsConnection } from './faults-connection.ts';
import { faultsProcesses } from './faults-processes.ts';
import { faultsRaw } from './faults-raw.ts';
import { faultsRestart } from './faults-restart.ts';
import { faultsServer } from './faults-server.ts';
import { groups } from './groups.ts';
import { groupsStart } from './groups-start.ts';
import { lifecycle } from './lifecycle.ts';
import { lifecycleClosed } from './lifecycle-closed.ts';
import { lifecycleConnect } from './lifecycle-connect.ts';
import { lifecycleInput } from './lifecycle-input.ts';
import { lifecycleSubscriptions } from './lifecycle-subscriptions.ts';
import { order } from './order.ts';
import { orderBatch } from './order-batch.ts';
import { orderBlock } from './order-block.ts';
import { orderConcurrency } from './order-concurrency.ts';
import { orderPublish } from './order-publish.ts';
import { patterns } from './patterns.ts';
import { patternsNames } from './patterns-names.ts';
import { provisioning } from './provisioning.ts';
import { provisioningNames } from './provisioning-names.ts';
import { requests } from './requests.ts';
import { requestsDeadlines } from './requests-deadlines.ts';
import { requestsMany } from './requests-many.ts';
import { resilience } from './resilience.ts';
import { resilienceEvents } from './resilience-events.ts';
import { resilienceFilters } from './resilience-filters.ts';
import { resilienceHandlers } from './resilience-handlers.ts';
import { resilienceMiddleware } from './resilience-middleware.ts';
import { retries } from './retries.ts';
import { retriesPolicies } from './retries-policies.ts';
import { retriesRestart } from './retries-restart.ts';
import { settlement } from './settlement.ts';
import { settlementBatch } from './settlement-batch.ts';
import { settlementLeases } from './settlement-leases.ts';
import { settlementLive } from './settlement-live.ts';
import { settlementTimeouts } from './settlement-timeouts.ts';
import { time } from './time.ts';
import { timeExpiry } from './time-expiry.ts';
import { timePriority } from './time-priority.ts';

/** The whole suite. */
export const suite: readonly Case[] = [
  ...basics,
  ...basicsBodies,
  ...basicsFormats,
  ...basicsHeaders,
  ...basicsInput,
  ...basicsPull,
  ...basicsRaw,
  ...basicsTraffic,
  ...patterns,
  ...patternsNames,
  ...groups,
  ...groupsStart,
  ...settlement,
  ...settlementBatch,
  ...settlementLeases,
  ...settlementLive,
  ...order,
  ...orderBlock,
  ...orderBatch,
  ...orderConcurrency,
  ...orderPublish,
  ...retries,
  ...retriesPolicies,
  ...retriesRestart,
  ...deadLetters,
  ...deadLettersCare,
  ...deadLettersReplay,
  ...time,
  ...timeExpiry,
  ...timePriority,
  ...requests,
  ...requestsDeadlines,
  ...requestsMany,
  ...delivery,
  ...deliveryExactlyOnce,
  ...deliveryTransactions,
  ...batching,
  ...batchingStreams,
  ...batchingReceive,
  ...batchingWindow,
  ...resilience,
  ...resilienceEvents,
  ...resilienceFilters,
  ...resilienceHandlers,
  ...resilienceMiddleware,
  ...lifecycle,
  ...lifecycleClosed,
  ...lifecycleConnect,
  ...lifecycleInput,
  ...lifecycleSubscriptions,
  ...provisioning,
  ...provisioningNames,
  ...faults,
  ...faultsConnection,
  ...faultsProcesses,
  ...faultsRaw,
  ...faultsRestart,
  ...faultsServer,
  ...settlementTimeouts,
  ...deadLettersStore,
];
