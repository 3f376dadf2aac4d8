/** Whether a run is active, according to the state that it has written. */

/** True if a run has begun and has not recorded its end; its process may be gone. */
export const isActive = (state: string | undefined): boolean => state === 'preparing' || state === 'running';
