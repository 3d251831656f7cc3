/** How the client reaches a server: credentials, options, and retries. */
import { BlockList, isIP } from "node:net";

import {
  credentials,
  InterceptingCall,
  status as Code,
  type ChannelCredentials,
  type ClientOptions,
  type Interceptor,
} from "@grpc/grpc-js";

import { FeedbackServiceService } from "./gen/tidemill/v1/feedback_service.js";
import { PredictionServiceService } from "./gen/tidemill/v1/prediction_service.js";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8); // in IPv6's notation, too
LOOPBACK.addAddress("::1", "ipv6");

/** Certificates, as PEM. */
export interface Tls {
  /** The roots to trust; by default, Node's. */
  readonly rootCertificates?: Buffer;
  /** The client's own certificate, for servers that ask for one. */
  readonly certificate?: Buffer;
  /** The key of that certificate. */
  readonly privateKey?: Buffer;
  /** The name that the server's certificate must have; by default, that of the address. */
  readonly serverName?: string;
}

/** How to reach a server. */
export interface ConnectionOptions {
  /** An API key or a token; sent with every call. */
  readonly apiKey?: string;
  /** Whether the connection is encrypted; an object names the certificates. */
  readonly tls?: boolean | Tls;
  /** Allow sending the API key unencrypted to another machine. */
  readonly insecure?: boolean;
  /** Milliseconds that each call may take; a call can have its own. 10,000 by default. */
  readonly timeoutMs?: number;
  /**
   * A connection with open calls is tested after this many milliseconds of silence. 30,000 by
   * default; the server closes a connection that is tested more often than every 20 seconds.
   */
  readonly keepaliveMs?: number;
}

export const DEFAULT_ADDRESS = "127.0.0.1:50051";
export const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
const MAX_RECONNECT_BACKOFF_MS = 2_000;
/** The longest timeout, 23 days: Node's timers ignore longer ones. */
const MAX_MS = 2_000_000_000;
/** The server's own limit: room for 1,024 texts of 4,096 characters at four bytes each. */
export const MAX_MESSAGE_BYTES = 20 * 1024 * 1024;

export const MAX_ATTEMPTS = 5;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 2_000;
const RETRIED_CODES = [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED];

/** Return whether a call that failed with this code is worth a retry. */
export function isRetried(code: Code): boolean {
  return RETRIED_CODES.includes(code);
}

/** Return the pause after this many attempts, randomized so that callers do not retry together. */
export function backoffMs(attempts: number): number {
  const longest = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (attempts - 1));
  return longest * (0.8 + 0.4 * Math.random());
}

/** Return a timeout of at most 23 days; infinity is accepted.
 *
 * @throws RangeError it is negative, or not a number.
 */
export function waitMs(name: string, value: number): number {
  if (typeof value !== "number" || !(value >= 0)) {
    throw new RangeError(`${name} is ${value}; it must be a number of milliseconds, 0 or more`);
  }
  return Math.min(value, MAX_MS);
}

/** Return the credentials and options for any generated client.
 *
 * @throws RangeError the API key would travel unencrypted, or is not a key.
 */
export function connection(
  address: string,
  options: ConnectionOptions,
): [ChannelCredentials, ClientOptions] {
  const { apiKey, tls, insecure = false, keepaliveMs = DEFAULT_KEEPALIVE_MS } = options;
  if (apiKey !== undefined) checkKey(apiKey, address, Boolean(tls) || insecure);
  const certificates = tls === true ? {} : tls || undefined;
  const serverName = certificates?.serverName;
  return [
    certificates
      ? credentials.createSsl(
          certificates.rootCertificates,
          certificates.privateKey,
          certificates.certificate,
        )
      : credentials.createInsecure(),
    {
      "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
      "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
      "grpc.initial_reconnect_backoff_ms": FIRST_BACKOFF_MS,
      "grpc.max_reconnect_backoff_ms": MAX_RECONNECT_BACKOFF_MS,
      "grpc.keepalive_time_ms": waitMs("keepaliveMs", keepaliveMs),
      "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
      "grpc.primary_user_agent": "tidemill-node",
      "grpc.enable_retries": 1,
      "grpc.service_config": serviceConfig(isList(address)),
      ...(isLocal(address) && { "grpc.enable_http_proxy": 0 }),
      // gRPC would send the whole list as the name of the server.
      ...(address.includes(",") && {
        "grpc.default_authority": address.slice(address.indexOf(":") + 1).split(",")[0],
      }),
      ...(serverName !== undefined && { "grpc.ssl_target_name_override": serverName }),
      interceptors: apiKey === undefined ? [] : [authorization(apiKey)],
    },
  ];
}

/** Return whether an address can only be on this machine. */
export function isLocal(address: string): boolean {
  if (address.startsWith("unix:")) return true;
  const target = address.replace(/^(dns:(\/\/[^/]*\/)?|ipv[46]:)/, "");
  return target.split(",").every(isLoopback);
}

/** Return whether a host:port can only be on this machine. */
function isLoopback(place: string): boolean {
  const host = place.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  if (/^localhost\.?$/i.test(host)) return true;
  const family = isIP(host);
  return family !== 0 && LOOPBACK.check(host, family === 6 ? "ipv6" : "ipv4");
}

/** Return whether an address stands for several servers, which calls are spread over. */
function isList(address: string): boolean {
  return /^(dns|ipv4|ipv6):/.test(address);
}

function checkKey(apiKey: string, address: string, isProtected: boolean): void {
  if (!/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new RangeError("apiKey is empty, or has characters that no key has");
  }
  if (!isProtected && !isLocal(address)) {
    throw new RangeError(
      `the API key would travel to ${address} unencrypted: use tls, ` +
        "or insecure: true if something else protects the network",
    );
  }
}

function authorization(apiKey: string): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        metadata.set("authorization", `Bearer ${apiKey}`);
        next(metadata, listener);
      },
    });
}

/** Return gRPC's service config in JSON: which calls it retries, when and how often. */
function serviceConfig(balanced: boolean): string {
  const repeatable = [
    PredictionServiceService.getPrediction,
    PredictionServiceService.predict,
    PredictionServiceService.batchPredict,
    FeedbackServiceService.listFeedback,
    FeedbackServiceService.submitFeedback, // the server recognizes a repeated verdict
    FeedbackServiceService.listPreferences,
    FeedbackServiceService.submitPreference,
    FeedbackServiceService.submitPreferencePair,
    FeedbackServiceService.nextPreferencePairs,
  ];
  return JSON.stringify({
    ...(balanced && { loadBalancingConfig: [{ round_robin: {} }] }),
    methodConfig: [
      {
        name: repeatable.map(({ path }) => {
          const [, service, method] = path.split("/");
          return { service, method };
        }),
        retryPolicy: {
          maxAttempts: MAX_ATTEMPTS,
          initialBackoff: `${FIRST_BACKOFF_MS / 1000}s`,
          maxBackoff: `${MAX_BACKOFF_MS / 1000}s`,
          backoffMultiplier: 2,
          retryableStatusCodes: RETRIED_CODES.map((code) => Code[code]),
        },
      },
    ],
    // Retries stop when half of the tokens are used, so they do not keep a server overloaded.
    retryThrottling: { maxTokens: 100, tokenRatio: 0.1 },
  });
}
