/** A log call in pino's shape: fields first, then the text. */
export type LogFunction = (fields: object, message: string) => void;

/** What the bus writes its log to. A pino logger fits as it is. */
export interface Logger {
  debug: LogFunction;
  info: LogFunction;
  warn: LogFunction;
  error: LogFunction;
}

/** Levels in order of weight; a level lets itself and all heavier ones through. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
/** The lightest level that is written; `silent` for none. */
export type LogLevel = (typeof LOG_LEVELS)[number];

const ignore: LogFunction = () => {};

/** A logger that drops everything. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/**
 * Writes one line per entry to standard error, so that a program's own output stays clean.
 *
 * @param level - the lightest level that is written. Default `warn`.
 */
export function consoleLogger(level: LogLevel = 'warn'): Logger {
  const from = LOG_LEVELS.indexOf(level);
  const at = (name: Exclude<LogLevel, 'silent'>): LogFunction =>
    LOG_LEVELS.indexOf(name) < from
      ? ignore
      : (fields, message) => console.error(`ambus ${name}: ${message}`, fields);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
