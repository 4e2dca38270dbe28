/** A bundle that is missing, damaged or not allowed. */
export class BundleError extends Error {
  name = "BundleError";
}
