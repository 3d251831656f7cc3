/** Node client of Tidemill. */
export {
  TidemillClient,
  type BatchOptions,
  type FeedbackOptions,
  type ManyOptions,
  type PredictOptions,
  type Verdict,
} from "./client.js";
export { type ConnectionOptions, type Tls } from "./connection.js";
export * from "./errors.js";
export { type Feedback } from "./gen/tidemill/v1/feedback_service.js";
export { type Prediction, type Score } from "./gen/tidemill/v1/prediction_service.js";
export { type Result } from "./window.js";
