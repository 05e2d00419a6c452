/**
 * The door of the smart host for tests: `sink()` listens in the test's own process, keeps what it takes, and refuses or hangs up where the test
 * says so.
 */
export {
  type DropPoint,
  type RefusalPoint,
  type RefusalScope,
  type SinkAddress,
  type SinkLogin,
  type SinkMessage,
  type SinkOptions,
  type SinkSession,
  type SinkTls,
  type SmtpSink,
  sink,
} from './sink.ts';
