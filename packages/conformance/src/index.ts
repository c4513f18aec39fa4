export { type Case, CHAPTERS, type Chapter, chapter, type Power } from './case.ts';
export { suite } from './chapters/index.ts';
export { CaseContext, type LogEntry } from './context.ts';
export { type ConformanceResults, writeResults } from './results.ts';
export {
  type CaseResult,
  type Outcome,
  type PreparedCase,
  prepare,
  type RunOptions,
  runCase,
  runConformance,
} from './run.ts';
export {
  type ConformanceSetup,
  type IsolatedSetup,
  type RawClient,
  type RawMessage,
  type ServerControl,
  titleOf,
} from './setup.ts';
